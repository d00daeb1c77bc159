"""Starting the stranger of listener.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from occ_core.topics import Topic

LISTENER = Path(__file__).with_name("listener.py")


def spec(topic: Topic, robot: str = "") -> str:
    """A topic as the listener takes it."""
    name = topic.name if topic.name.startswith("/") else f"/{robot}/{topic.name}"
    policy = ":latched" if topic.latched else "" if topic.reliable else ":best_effort"
    return f"{name}={topic.type}{policy}"


def heard(seconds: float, topics: list[str]) -> dict:
    """What was heard until a simulated time: `stamps` of each topic's messages, `clock`, and `ours`.

    `said`: what messages say of their own time, nanoseconds.
    """
    output = subprocess.run(
        [sys.executable, str(LISTENER), str(seconds), *topics], check=True, capture_output=True, text=True
    )
    return json.loads(output.stdout.splitlines()[-1])
