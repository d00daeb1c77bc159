"""Makes mistakes on command lines, one after the other, in one process that has loaded nothing before.

Reads JSON: a list of folders to work in and of command lines, each a program and its arguments. Prints JSON: of each
the exit code, what it said, seconds of processor time, and which of the modules that take long to load it has loaded.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import in_process

SLOW = ("torch", "lightning", "mujoco", "rclpy", "numba", "embreex", "moderngl", "skimage", "viser", "onnx")


def run(words: list[str]) -> in_process.Done:
    program, *arguments = words
    if program != sys.executable:
        return in_process.tokyo(*arguments)
    script, *arguments = arguments
    sys.path.insert(0, str(Path(script).parent))
    try:
        return in_process.done(in_process.script(script), *arguments)
    finally:
        del sys.path[0]


def made(folder: str, words: list[str]) -> dict[str, object]:
    os.chdir(folder)
    began, loaded = time.process_time(), set(sys.modules)
    done = run(words)
    seconds = time.process_time() - began
    slow = [name for name in SLOW if name in sys.modules.keys() - loaded]
    return {"code": done.returncode, "said": done.stderr, "seconds": seconds, "slow": slow}


if __name__ == "__main__":
    print(json.dumps([made(folder, words) for folder, words in json.load(sys.stdin)]))
