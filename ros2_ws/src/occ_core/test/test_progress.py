"""Long work says how far it has come, on a terminal and in a log."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time

import pytest

from occ_core import progress
from occ_core.progress import ProgressBar

WORK = """
import time
from occ_core import progress
progress.SAY_EVERY_S = 0.3
with progress.ProgressBar({total}, "read", "tile") as bar:
    bar.note("busy")
    for _ in range({total}):
        time.sleep({each})
        bar.update()
"""


def test_in_a_log_there_is_a_line_now_and_then_with_rate_and_what_is_left() -> None:
    done = subprocess.run([sys.executable, "-c", WORK.format(total=8, each=0.1)], capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert 2 <= len(lines) <= 4 and "\r" not in done.stderr and done.stdout == ""
    for line in lines:
        assert re.match(r"read: +\d+%\|.*\| \d/8 \[00:0\d<00:0\d, .*(tile/s|s/tile), busy\]", line), line


def test_one_long_part_is_not_silent_either() -> None:
    done = subprocess.run([sys.executable, "-c", WORK.format(total=1, each=1.0)], capture_output=True, text=True)
    assert len(done.stderr.splitlines()) == 3 and "0/1" in done.stderr.splitlines()[0]


def test_work_that_is_done_soon_says_nothing_in_a_log() -> None:
    done = subprocess.run([sys.executable, "-c", WORK.format(total=2, each=0.01)], capture_output=True, text=True)
    assert done.stderr == ""


def test_on_a_terminal_there_is_a_bar() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", WORK.format(total=5, each=0.1)], stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            more = os.read(ours, 1000)
        except OSError:  # the other end is closed
            break
        shown += more
    assert process.wait() == 0
    assert b"\rread:" in shown and b"5/5" in shown


def test_what_is_done_can_be_said_all_in_all() -> None:
    with ProgressBar(40, "drives", "simulated s") as bar:
        bar.note("drive 01")
        for done in (8, 15, 15):
            bar.at(done)
        assert bar.line(30.0).startswith("drives:  38%|") and "15/40 [00:30<00:50," in bar.line(30.0)
        assert bar.line(30.0).endswith("s/simulated s, drive 01]")


def test_an_error_ends_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SAY_EVERY_S", 60.0)
    began = time.monotonic()
    with pytest.raises(KeyError), ProgressBar(2, "read", "tile") as bar:
        raise KeyError
    assert time.monotonic() - began < 5 and not bar._thread.is_alive()


LOST = """
import os, signal, sys
from occ_core.command_line import run_command
from occ_core.progress import ProgressBar, Steps

def work():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        pass  # as somebody's callback does, or an import that has another way
    print("lost", flush=True)
    {steps}
    print("all of it")

run_command("work", work)
"""


@pytest.mark.parametrize(
    "steps",
    [
        "[None for _ in Steps(range(3), leave=False)]",
        "[None for _ in Steps(range(3), disable=True)]",
        "Steps(total=3, disable=True).update()",
        "with ProgressBar(3, 'read', 'tile') as bar: bar.update()",
    ],
)
def test_long_work_ends_at_its_next_step_where_ctrl_c_was_lost(steps: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOST.format(steps=steps)], capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (130, "lost\n"), done.stderr
    assert "Traceback" not in done.stderr
