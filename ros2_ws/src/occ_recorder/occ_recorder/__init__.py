"""Live topics into occupancy sessions on disk."""
