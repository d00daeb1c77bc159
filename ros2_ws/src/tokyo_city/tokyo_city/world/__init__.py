"""SDF worlds: writing them from imported tiles, reading them for the embedded engine."""

SDF_VERSION = "1.9"
WORLD_FILE = "city.sdf"
CITY_FILE = "city.json"
WORLD_NAME = "tokyo"
GRAVITY = 9.81
"""m/s^2, in both simulators; Gazebo's own default is 9.8."""
