"""SDF worlds: writing them from imported tiles, reading them for the embedded engine."""
