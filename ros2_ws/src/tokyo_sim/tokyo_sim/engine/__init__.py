"""The embedded engine: MuJoCo physics, Embree LiDAR and OpenGL cameras over the same SDF and URDF as Gazebo."""
