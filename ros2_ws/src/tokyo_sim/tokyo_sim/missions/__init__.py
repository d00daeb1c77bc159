"""Where robots go: along streets, roaming, surveys and orbits, and how they follow a path."""
