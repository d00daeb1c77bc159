"""How a node's process ends: exit codes, and signals that come before there is a node."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

_PROGRAM = """
import sys, threading, time
from occ_ros.guard import NodeFailed
from occ_ros.run import run

def slow():
    threading.Thread(target=time.sleep, args=(3600,)).start()  # as a pool that is half made: nobody would end it
    print("making", flush=True)
    time.sleep(3600)

class Failing:
    def destroy_node(self):
        print("destroyed", flush=True)

def fail(node, stop):
    raise NodeFailed("the disk is full")

def wrong():
    raise ValueError("rate: -1 is not positive")

programs = {"slow": lambda: run(slow), "failing": lambda: run(Failing, fail), "wrong": lambda: run(wrong)}
sys.exit(programs[sys.argv[1]]())
"""


def start(program: str) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", _PROGRAM, program], text=True, **pipes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_that_is_still_being_made_is_given_up_at_once_though_its_threads_live(number: signal.Signals) -> None:
    process = start("slow")
    assert process.stdout.readline() == "making\n"
    process.send_signal(number)
    process.send_signal(number)  # as launch and the terminal both do
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0 and said == ""


def test_a_job_that_fails_says_why_ends_with_1_and_its_node_is_destroyed() -> None:
    process = start("failing")
    out, said = process.communicate(timeout=240)
    assert (process.returncode, out, said) == (1, "destroyed\n", "error: the disk is full\n")


def test_bad_parameters_are_one_sentence_and_2() -> None:
    process = start("wrong")
    out, said = process.communicate(timeout=240)
    assert (process.returncode, out, said) == (2, "", "error: rate: -1 is not positive\n")
