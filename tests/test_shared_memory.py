"""What troubleshooting.md says of Fast DDS's shared memory, seen in the memory maps of a process with a node."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import blocks
from paths import ROOT

PAGE = ROOT / "docs/troubleshooting.md"
PROFILES = ROOT / "ros2_ws/src/tokyo_sim/config"
NODE = """
import rclpy
rclpy.init()
node = rclpy.create_node("mapped")
print(open("/proc/self/maps").read())
node.destroy_node()
rclpy.shutdown()
"""


def mapped(profile: Path, discovery: str) -> list[int]:
    """Sizes in bytes of Fast DDS's segments in a node's process; those of its ports left out."""
    settings = {"FASTDDS_DEFAULT_PROFILES_FILE": str(profile), "ROS_AUTOMATIC_DISCOVERY_RANGE": discovery}
    command = [sys.executable, "-c", NODE]
    done = subprocess.run(command, env=os.environ | settings, check=True, capture_output=True, text=True)
    found = re.findall(r"^(\w+)-(\w+) .* /dev/shm/fastdds_(?!port)", done.stdout, re.MULTILINE)
    return [int(end, 16) - int(begin, 16) for begin, end in found]


@pytest.fixture
def udp(tmp_path: Path) -> Path:
    """The profile that the page gives."""
    (block,) = (block for block in blocks(PAGE) if block.language == "xml")
    path = tmp_path / "udp.xml"
    path.write_text(block.body)
    return path


@pytest.mark.parametrize("discovery", ["LOCALHOST", "SUBNET"])
@pytest.mark.parametrize(
    ("profile", "least"), [("fastdds.xml", 5 * (6 * 1600 * 900 * 3 + 1.3e6)), ("fastdds_small.xml", 5 * 4 * 1.3e6)]
)
def test_our_profiles_have_room_for_half_a_second(profile: str, least: float, discovery: str) -> None:
    assert least < max(mapped(PROFILES / profile, discovery)) < 1.25 * least + 8e6


def test_the_profile_of_the_page_goes_without_shared_memory_unless_discovery_is_local(udp: Path) -> None:
    assert mapped(udp, "SUBNET") == []
    assert mapped(udp, "LOCALHOST") != []
