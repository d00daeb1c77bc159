"""Gazebo (Harmonic, Ionic) in place of the embedded engine: same world, same robots, same topics."""
