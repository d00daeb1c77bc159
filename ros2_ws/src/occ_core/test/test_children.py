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


FORKING = """
import os, signal, subprocess, sys
from contextlib import nullcontext
from occ_core.children import ending_with_parent, interrupts_held
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), int(sys.argv[2])))
handlers = {"raises": signal.default_int_handler, "ignores": signal.SIG_IGN}
signal.signal(int(sys.argv[2]), handlers[sys.argv[3]])
started = False
try:
    with interrupts_held() if sys.argv[1] == "held" else nullcontext():
        child = subprocess.Popen(["sleep", "3600"], preexec_fn=ending_with_parent())
        started = True
    print("went on", started)
except KeyboardInterrupt:
    print("interrupted", started)
child.kill()
"""


@pytest.mark.parametrize(
    ("how", "number", "handler", "said"),
    [
        ("held", signal.SIGINT, "raises", "interrupted True"),
        ("held", signal.SIGTERM, "raises", "interrupted True"),
        ("held", signal.SIGINT, "ignores", "went on True"),
        (
            "not held",
            signal.SIGINT,
            "raises",
            "went on True",
        ),  # what it is for: Python prints the interrupt, and goes on
    ],
)
def test_an_interrupt_while_a_process_forks_is_not_lost(how: str, number: int, handler: str, said: str) -> None:
    command = [sys.executable, "-c", FORKING, how, str(int(number)), handler]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.stdout.strip() == said, done.stderr
    assert ("Exception ignored" in done.stderr) == (how == "not held")
