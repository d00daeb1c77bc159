"""`python -m occ_ros.start MODULE ARGUMENTS`: a node's module as a program that can be interrupted at any moment.

While a node's module is imported, which takes seconds, Python would answer SIGINT with a traceback out of somebody's
`import`. Here it ends the process, until `occ_ros.run` looks after it. Who starts nodes blocks the signal before, so
that it waits for this module.
"""

from __future__ import annotations

import gc
import os
import runpy
import signal
import sys

HOLD = "TOKYO_HOLD"
"""Environment variable: a descriptor. Nothing of ROS begins before who started this process closes its other end."""


def wait_for_release() -> None:
    """Until who started this process lets it begin; at once where nobody holds it."""
    if held := os.environ.pop(HOLD, ""):
        os.read(int(held), 1)
        os.close(int(held))


def main() -> None:
    """Entry point: exit code of the node, 2 without a module."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    if len(sys.argv) < 2:
        print("usage: python -m occ_ros.start MODULE ARGUMENTS", file=sys.stderr)
        sys.exit(2)
    del sys.argv[0]
    gc.disable()  # until the node is made: what is imported stays, and looking through it again and again takes a tenth
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
