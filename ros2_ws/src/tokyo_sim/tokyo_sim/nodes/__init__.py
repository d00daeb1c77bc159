"""ROS nodes: plumbing only. What they call knows no ROS."""
