"""The `tokyo` command."""
