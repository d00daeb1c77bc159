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


def heard(seconds: float, topics: list[str], least: int = 0) -> dict:
    """What was heard until a simulated time: `stamps` of each topic's messages, `clock`, and `ours`.

    least: messages of each topic that are waited for beyond that time; one of what is latched. `said`: what messages
    say of their own time, nanoseconds. `offered`: reliabilities of each topic's publishers.
    """
    output = subprocess.run(
        [sys.executable, str(LISTENER), str(seconds), str(least), *topics], check=True, capture_output=True, text=True
    )
    return json.loads(output.stdout.splitlines()[-1])
