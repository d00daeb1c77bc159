"""A ROS domain that nobody on this machine uses, so that two runs beside each other do not hear each other."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Above 101 a domain's ports are among those that Linux gives to anybody (RTPS 2.5, section 9.6.2, and ROS's guide).
_DOMAINS = range(1, 102)
_FIRST_PORT, _PORTS = 7400, 250  # of domain 0, and of each domain
_LOCKS = "tokyo_ros_domains"


def busy_domains(tables: tuple[str, ...] = ("/proc/net/udp", "/proc/net/udp6")) -> set[int]:
    """Domains that some process on this machine has a port of open."""
    busy = set()
    for table in tables:
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        # The second column is the local address and port in hexadecimal.
        ports = [int(line.split()[1].rpartition(":")[2], 16) for line in lines]
        busy |= {(port - _FIRST_PORT) // _PORTS for port in ports if port >= _FIRST_PORT}
    return busy


@contextmanager
def own_domain() -> Iterator[int]:
    """A free domain for this process and those it starts, by ROS_DOMAIN_ID; never 0. RuntimeError where none is free.

    A locked file keeps others who ask in this way from taking it too; the lock goes with the process, however it ends.
    """
    folder = Path(tempfile.gettempdir()) / _LOCKS
    folder.mkdir(exist_ok=True)
    with suppress(PermissionError):  # of somebody else, who has opened it for all
        folder.chmod(0o777)
    before = os.environ.get("ROS_DOMAIN_ID")
    start = os.getpid() * 7
    busy = busy_domains()
    for number in range(len(_DOMAINS)):
        domain = _DOMAINS[(start + number) % len(_DOMAINS)]
        if domain in busy or (lock := _locked(folder / f"{domain}.lock")) is None:
            continue
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        try:
            yield domain
        finally:
            os.close(lock)
            os.environ.pop("ROS_DOMAIN_ID")
            if before is not None:
                os.environ["ROS_DOMAIN_ID"] = before
        return
    raise RuntimeError("no ROS domain from 1 to 101 is free on this machine: stop what uses them")


def _locked(path: Path) -> int | None:
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle
