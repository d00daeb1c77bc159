"""Processes that end with the one that started them, whatever they do themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import PATIENCE_S

from occ_core.children import members

PARENT = """
import subprocess, sys, time
from pathlib import Path
from occ_core.children import Reaper, ending_with_parent
reaper, folder = Reaper(1.0), Path(sys.argv[1])
(folder / "scratch").mkdir()
reaper.keep(str(folder / "scratch"))
command = [sys.executable, "-c", sys.argv[2], str(folder / "grandchild")]
child = subprocess.Popen(command, start_new_session=True, preexec_fn=ending_with_parent())
reaper.mind(child.pid)
(folder / "child").write_text(str(child.pid))
while True:
    time.sleep(1)
"""
# A child with a child of its own, and both deaf to all that can be ignored.
DEAF = """
import signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if len(sys.argv) > 1:
    subprocess.Popen([sys.executable, "-c", open("/proc/self/cmdline").read().split(chr(0))[2]])
    open(sys.argv[1], "w").close()
while True:
    time.sleep(1)
"""
EASY = "import time, sys; open(sys.argv[1], 'w').close(); time.sleep(1000)"


def wait(what, seconds: float = PATIENCE_S) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(("code", "count"), [(EASY, 1), (DEAF, 2)], ids=["one that listens", "two that do not"])
def test_children_and_theirs_end_with_a_parent_that_is_killed(tmp_path: Path, code: str, count: int) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), code], start_new_session=True)
    wait(lambda: (tmp_path / "grandchild").exists() and (tmp_path / "child").exists())
    child = int((tmp_path / "child").read_text())
    wait(lambda: len(members(child)) == count)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait(lambda: not members(child))
    wait(lambda: not (tmp_path / "scratch").exists())


def test_workers_of_a_pool_end_with_their_parent(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom occ_core.parallel import Backend, run_tasks\n"
        f"def work(n):\n    Path({str(tmp_path)!r}, str(os.getpid())).touch()\n    time.sleep(1000)\n"
        "list(run_tasks(Backend.LOCAL, work, range(2), 2))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    wait(lambda: len(list(tmp_path.iterdir())) == 2)
    assert len(members(parent.pid)) == 3
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait(lambda: not members(parent.pid))
