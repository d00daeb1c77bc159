"""SDF version and file names of an imported city, each stated once. Gazebo's own names: `tokyo_sim.gazebo.names`."""

from __future__ import annotations

SDF_VERSION = "1.9"
WORLD_FILE = "city.sdf"
CITY_FILE = "city.json"
WORLD_NAME = "tokyo"
