# ROS 2 Jazzy with Gazebo Harmonic and this workspace. Build from the repository's root:
#   docker build -f docker/sim.Dockerfile -t tokyo-occworld-sim .
FROM osrf/ros:jazzy-desktop
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN apt-get update \
    && apt-get install -y --no-install-recommends ros-jazzy-ros-gz python3-colcon-common-extensions python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /tokyo
COPY ros2_ws/src ros2_ws/src
COPY learner learner
# The engine's wheels, beside the system's numpy; torch is for the forecast.
RUN python3 -m venv --system-site-packages venv \
    && venv/bin/pip install --no-cache-dir 'mujoco<4' embreex moderngl mapbox-earcut yourdfpy pyproj networkx scikit-image \
       numba lightning einops tensorboard ./learner --no-deps \
    && venv/bin/pip install --no-cache-dir torch
RUN source /opt/ros/jazzy/setup.bash && source venv/bin/activate && cd ros2_ws && colcon build
COPY launch launch
RUN useradd --create-home tokyo && chown -R tokyo /tokyo
USER tokyo
ENTRYPOINT ["/bin/bash", "-c", "source /opt/ros/jazzy/setup.bash && source /tokyo/venv/bin/activate && source /tokyo/ros2_ws/install/setup.bash && exec \"$@\"", "--"]
CMD ["ros2", "launch", "tokyo_sim", "city.launch.py", "--show-args"]
