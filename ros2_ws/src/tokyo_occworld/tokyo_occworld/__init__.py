"""What composes the other packages: the `tokyo` command, demo, comparison, collecting. Nothing imports it."""
