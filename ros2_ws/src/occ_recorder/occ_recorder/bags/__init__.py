"""rosbag2: written from live topics, and read into sessions; what reads needs no ROS."""
