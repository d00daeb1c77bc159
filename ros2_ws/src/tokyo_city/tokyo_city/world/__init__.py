"""SDF worlds: writing them from imported tiles, reading them for the embedded engine."""

import re

from occ_core.output_folders import FolderKind

SDF_VERSION = "1.9"
WORLD_FILE = "city.sdf"
CITY_FILE = "city.json"
WORLD_NAME = "tokyo"
GRAVITY = 9.81
"""m/s^2, in both simulators; Gazebo's own default is 9.8."""

CITY = FolderKind(
    "an imported city",
    (CITY_FILE,),
    # Besides what the importer writes: what is made of it when it is first needed, and kept.
    (CITY_FILE, WORLD_FILE, "meshes", "semantic", "appearance", "textures", "drivable", "collision", "*.npz"),
)
"""A folder that is replaced when a city is imported into it."""


def plain_name(text: str) -> str:
    """A text as part of a file name that every reader of OBJ, MTL and SDF takes for one: ASCII without white space."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)
