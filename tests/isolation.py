"""Tests side by side: ROS domains that no other test process uses, and costly inputs made once for all of them."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from occ_ros.domain import used_domains

# A shell starts what runs in its background deaf to Ctrl-C, and its children with it: these tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# 101 is the highest domain whose ports stay below Linux's ephemeral range. Those from 1 on are left to `--domain auto`,
# which knows nothing of a test that has a domain and has started nothing in it yet.
_DOMAINS = range(100, 40, -1)
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_share = _DOMAINS[_WORKER::_WORKERS]
# Another run of these tests on this machine begins elsewhere.
_own = itertools.cycle([*_share[os.getppid() % len(_share) :], *_share[: os.getppid() % len(_share)]])


_HELD = min(4, max(1, len(_share) // 2))  # a test has three domains at most
_held: deque[FileLock] = deque()


def free_domain() -> int:
    """The next of this worker's domains that no process of this machine is in, nor a test of another run."""
    used = used_domains()
    for domain in itertools.islice(_own, len(_share)):
        if domain in used:
            continue
        lock = FileLock(Path(tempfile.gettempdir(), f"tokyo_occworld_test_domain_{domain}.lock"))
        with suppress(Timeout):
            lock.acquire(blocking=False)
            _held.append(lock)
            if len(_held) > _HELD:
                _held.popleft().release()
            return domain
    raise RuntimeError(f"somebody is in each of the ROS domains {sorted(_share)}")


@pytest.fixture(autouse=True)
def ros_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Processes of one test find each other, on loopback, and nobody else: the next test has another domain."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(free_domain()))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "ros_log"))


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills, once for all workers of a run. make: gets the folder, which is not there yet."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(folder.with_name(f"{name}.lock")):
        done = folder.with_name(f"{name}.done")
        if not done.exists():
            make(folder)
            done.touch()
    return folder
