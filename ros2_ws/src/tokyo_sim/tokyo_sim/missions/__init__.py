"""Where robots go: streets for rovers, surveys and orbits for drones, and how they follow a path."""
