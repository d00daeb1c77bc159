"""ROS nodes: plumbing only."""
