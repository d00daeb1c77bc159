"""`make demo`: the whole loop on one machine, and a report of what came of it."""

from occ_core.output_folders import FolderKind

DEMO = FolderKind("a demo's folder", ("stages", "report.json"))
"""A folder that a demo makes, and goes on in."""
