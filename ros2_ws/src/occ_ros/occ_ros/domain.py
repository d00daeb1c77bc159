"""A ROS domain for one simulation: two in one domain ruin each other's clock, recordings and robots."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from occ_core.topics import CLOCK, ODOM

if TYPE_CHECKING:
    from rclpy.node import Node

VARIABLE = "ROS_DOMAIN_ID"
_HIGHEST = 101  # the ports of those above are in Linux's ephemeral range
_PORTS = range(7400, 7400 + 250 * (_HIGHEST + 1))  # RTPS: 250 of each domain
_LOOK_S = 3.5  # until DDS has told who is there: each one announces itself every 3 s, some are not heard before
_TELL_S = 2.0  # after that, until it has told what they publish
_EACH_S = 0.1
_BUSY_S = 15.0  # on a busy machine, of one who is known to be there: until it is heard of, and until it has a name
_NAMELESS = "_NODE_NAME_UNKNOWN_"  # rmw's word for one whose topics were heard of before its name
_WAY_OUT = "stop it, or run in a ROS domain of your own: --domain auto, or ROS_DOMAIN_ID"


@contextmanager
def own_domain(wanted: str, robots: Sequence[str], look: bool = True) -> Iterator[int]:
    """Hold a domain for a simulation with these robots, and have the environment say so: it goes to all children.

    wanted: a number; '' for what the environment says, 0 where it says nothing; 'auto' for the first from 1 on where
    nobody is. ValueError that names who is there already. look: without, only other simulations of this machine are
    found, and the caller is to `refuse_others` where the domain is not an 'auto' one.
    """
    before = os.environ.get(VARIABLE)
    with held_domain(wanted, robots, look) as number:
        os.environ[VARIABLE] = str(number)
        try:
            yield number
        finally:
            os.environ.pop(VARIABLE) if before is None else os.environ.update({VARIABLE: before})


@contextmanager
def held_domain(wanted: str, robots: Sequence[str], look: bool = True) -> Iterator[int]:
    """As `own_domain`, but the environment is left as it is: for several at once."""
    if wanted == "auto":
        number, lock = _free(robots)
    else:
        number, lock = reserve(_number(wanted) if wanted else current_domain(), robots, look)
    try:
        yield number
    finally:
        os.close(lock)


def reserve(number: int, robots: Sequence[str], look: bool = True) -> tuple[int, int]:
    """A domain, and the descriptor that holds it until it is closed. ValueError that names who is there already."""
    lock = _lock(number)
    if look:
        try:
            refuse_others(number, robots)
        except ValueError:
            os.close(lock)
            raise
    return number, lock


def refuse_others(number: int, robots: Sequence[str]) -> None:
    """ValueError that names who publishes a clock, or the odometry of one of these robots, in a domain.

    Takes seconds where anybody could be heard.
    """
    if others := _others(number, robots):
        raise ValueError(f"{others} in ROS domain {number}: {_WAY_OUT}")


def current_domain() -> int:
    """What the environment says, 0 where it says nothing. ValueError where that is no number of a domain."""
    return _number(os.environ.get(VARIABLE) or "0")


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) > 232:
        raise ValueError(f"--domain '{text}': 0 to {_HIGHEST} or auto is wanted")
    return int(text)


def _free(robots: Sequence[str]) -> tuple[int, int]:
    """The first domain that nobody on this machine is in, and its lock. ValueError where every domain is taken."""
    taken = used_domains()
    for number in range(1, _HIGHEST + 1):  # 0 is where everybody else begins
        if number in taken:
            continue
        try:
            lock = _lock(number)
        except ValueError:
            continue
        if not _others(number, robots):
            return number, lock
        os.close(lock)
    raise ValueError(f"--domain auto: somebody is in each of the ROS domains 1 to {_HIGHEST}")


def _lock(number: int) -> int:
    """Reserve a domain on this machine until the descriptor is closed, also by a kill. ValueError that names who has.

    Two that begin at once can't see each other over DDS yet.
    """
    network = os.stat("/proc/self/ns/net").st_ino  # a container has domains of its own
    path = Path(tempfile.gettempdir(), f"tokyo_ros_domain_{network}_{number}.lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(lock, 100, 0).decode(errors="replace").strip()
        os.close(lock)
        raise ValueError(f"another simulation ({holder}) runs in ROS domain {number}: {_WAY_OUT}") from None
    os.truncate(lock, 0)
    os.pwrite(lock, f"process {os.getpid()}".encode(), 0)
    return lock


def used_domains() -> set[int]:
    """Domains that a process of this machine has ports of, by /proc/net."""
    found = set()
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        for line in Path(table).read_text().splitlines()[1:] if Path(table).exists() else []:
            port = int(line.split()[1].rpartition(":")[2], 16)
            if port in _PORTS:
                found.add((port - _PORTS.start) // 250)
    return found


def _alone(number: int) -> bool:
    """Is nobody of this machine in a domain, and would nobody else be heard?"""
    local = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE") in ("LOCALHOST", "OFF")
    return local and not os.environ.get("ROS_STATIC_PEERS") and number not in used_domains()


def _others(number: int, robots: Sequence[str]) -> str:
    """Who publishes a clock, or the odometry of one of these robots, in a domain; '' where nobody does."""
    if _alone(number):
        return ""
    with look_around(number) as (node, looks):
        began, found = time.monotonic(), ""
        for _ in looks:
            if found := _heard(node, robots):
                break
        while _NAMELESS in found and time.monotonic() < began + _BUSY_S:
            time.sleep(_EACH_S)
            found = _heard(node, robots)
        return found.replace(_NAMELESS, "somebody")


@contextmanager
def look_around(number: int) -> Iterator[tuple[Node, Iterator[None]]]:
    """A node in a domain, and looks that end when it has had the time to hear of all who are there."""
    somebody_here = number in used_domains()
    import rclpy  # which ends the process where RMW_IMPLEMENTATION names what is not installed
    from rclpy.context import Context

    context = Context()
    rclpy.init(context=context, domain_id=number)
    node = rclpy.create_node("tokyo_look_around", context=context, start_parameter_services=False)
    try:
        yield node, _looks(node, somebody_here)
    finally:
        node.destroy_node()
        context.try_shutdown()


def _looks(node: Node, somebody_here: bool) -> Iterator[None]:
    began = newest = time.monotonic()
    heard = {node.get_name()}
    while True:
        names = set(node.get_node_names())
        if not names <= heard:
            newest, heard = time.monotonic(), heard | names
        yield
        unheard = somebody_here and len(heard) == 1
        if time.monotonic() > max(newest + _TELL_S, began + (_BUSY_S if unheard else _LOOK_S)):
            return
        time.sleep(_EACH_S)


def _heard(node: Node, robots: Sequence[str]) -> str:
    if clocks := _publishers(node, CLOCK.name):
        return f"{clocks} publishes {CLOCK.name} already"
    for robot in robots:
        if others := _publishers(node, f"/{robot}/{ODOM.name}"):
            return f"there is a {robot} already, of {others},"
    return ""


def _publishers(node: Node, topic: str) -> str:
    infos = node.get_publishers_info_by_topic(topic)
    names = {f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos}
    return " and ".join(sorted(_NAMELESS if _NAMELESS in name else name for name in names))
