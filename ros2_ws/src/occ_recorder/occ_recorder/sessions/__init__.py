"""Tools for recorded sessions: check, repair, describe, picture, merge, split. No ROS."""
