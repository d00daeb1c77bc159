"""A signal while a node is being made."""

from __future__ import annotations

import subprocess
import sys

import pytest

HALF_MADE = """
import os, signal, sys
from occ_ros.guard import GuardedNode
from occ_ros.run import run

class Node(GuardedNode):
    def __init__(self):
        super().__init__("half_made")
        {taken}
        self.open = []

    def destroy_node(self):
        self.open.clear()
        super().destroy_node()

sys.exit(run(Node))
"""


KILL = "os.kill(os.getpid(), signal.{number})"
# What libraries make of it: xacro looks for an exception of a module that it was about to import, others go on.
ANOTHER = f"""
        try:
            {KILL}
        except BaseException:
            raise UnboundLocalError("no such exception")
"""
A_MISTAKE = ANOTHER.replace("UnboundLocalError", "ValueError")
NOTHING = f"""
        try:
            {KILL}
        except BaseException:
            pass
"""


@pytest.mark.parametrize(
    "taken", [KILL, ANOTHER, A_MISTAKE, NOTHING], ids=["itself", "another", "a_mistake", "nothing"]
)
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_node_that_is_half_made_is_given_up_without_a_word(number: str, taken: str) -> None:
    program = HALF_MADE.format(taken=taken.format(number=number))
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
