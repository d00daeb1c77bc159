"""PLATEAU city models, or a generated neighbourhood, into an SDF world. No ROS, no simulator, no OpenGL."""
