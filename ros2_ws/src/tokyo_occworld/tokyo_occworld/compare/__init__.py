"""A recorded drive beside the embedded engine at the same poses: do two simulators sense the same city?"""

from occ_core.output_folders import FolderKind

COMPARISON = FolderKind(
    "a comparison", ("comparison.json",), ("comparison.json", "comparison.md", "*_lidar.png", "*_cameras.png")
)
"""A folder that is replaced when a session is compared."""
