"""ROS plumbing that the nodes share: quality of service, parameters, messages to and from plain data, start and stop."""
