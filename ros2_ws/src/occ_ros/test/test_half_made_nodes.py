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
        os.kill(os.getpid(), signal.{number})
        self.open = []

    def destroy_node(self):
        self.open.clear()
        super().destroy_node()

sys.exit(run(Node))
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_node_that_is_half_made_is_given_up_without_a_word(number: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HALF_MADE.format(number=number)], capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
