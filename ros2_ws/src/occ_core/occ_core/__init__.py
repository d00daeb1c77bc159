"""What every part of Tokyo OccWorld agrees on: grid, classes, poses, topics, voxelizer and session format. No ROS."""
