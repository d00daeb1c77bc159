"""Real Tokyo in a simulator: PLATEAU import, SDF worlds, vehicles, sensors, traffic and missions."""
