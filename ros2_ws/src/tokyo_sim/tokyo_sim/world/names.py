"""Gazebo plugin names, SDF version and file names of an imported city, each stated once (Gazebo Harmonic and Ionic)."""

from __future__ import annotations

SDF_VERSION = "1.9"
WORLD_FILE = "city.sdf"
CITY_FILE = "city.json"
WORLD_NAME = "tokyo"

WORLD_SYSTEMS: tuple[tuple[str, str], ...] = (
    ("gz-sim-physics-system", "gz::sim::systems::Physics"),
    ("gz-sim-user-commands-system", "gz::sim::systems::UserCommands"),
    ("gz-sim-scene-broadcaster-system", "gz::sim::systems::SceneBroadcaster"),
    ("gz-sim-sensors-system", "gz::sim::systems::Sensors"),
    ("gz-sim-imu-system", "gz::sim::systems::Imu"),
    ("gz-sim-contact-system", "gz::sim::systems::Contact"),
)
"""(file name, class) of the systems that every world loads."""

LABEL_SYSTEM = ("gz-sim-label-system", "gz::sim::systems::Label")
