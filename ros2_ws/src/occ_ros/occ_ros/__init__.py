"""ROS plumbing that the nodes share: quality of service, parameters, messages from and to plain data, start, stop."""
