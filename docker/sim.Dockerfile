# ROS 2, RViz, Gazebo and this workspace: Jazzy with Harmonic. From the repository's root:
#   docker build -f docker/sim.Dockerfile -t tokyo-occworld-sim .
# Lyrical with Jetty: with the arguments of lyrical.env.
# --build-arg UID=$(id -u) GID=... are those of the user in it, who writes into your folders.
# --build-arg PIP_EXTRA_INDEX_URL=... an index with PyTorch's CPU wheels, where no GPU forecasts: saves gigabytes.
ARG TOKYO_BASE=osrf/ros:jazzy-desktop@sha256:e1c05248ece3bc328386d0509a041a97a5de872a5606418118748875c539c66f
ARG TOKYO_DISTRO=jazzy
ARG TOKYO_UBUNTU=24.04

# What rosdep reads, by itself: the layers after it stay cached until a dependency changes.
FROM ${TOKYO_BASE} AS manifests
COPY ros2_ws/src /manifests
RUN find /manifests -type f ! -name package.xml -delete

FROM ${TOKYO_BASE}
ARG TOKYO_DISTRO
ARG TOKYO_UBUNTU
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# Every key of every package.xml, but five that are left to pip: Ubuntu's PyTorch, Shapely and Matplotlib are older than
# what is used of them (2.4, 2.1, 3.7), and numba and MuJoCo are to be the versions that we test. No pins: ROS's and
# Ubuntu's archives keep one version of a package.
# hadolint ignore=DL3008
RUN --mount=type=bind,from=manifests,source=/manifests,target=/manifests \
    echo 'APT::Install-Recommends "false";' > /etc/apt/apt.conf.d/90no-recommends \
    && apt-get update \
    && rosdep update --rosdistro "$TOKYO_DISTRO" \
    && rosdep install -y --rosdistro "$TOKYO_DISTRO" --ignore-src --from-paths /manifests \
       --skip-keys "python3-matplotlib python3-mujoco-pip python3-numba python3-shapely python3-torch" \
    && apt-get install -y --no-install-recommends "ros-$TOKYO_DISTRO-ros-gz" "ros-$TOKYO_DISTRO-rviz2" \
       "ros-$TOKYO_DISTRO-rviz-default-plugins" python3-venv libegl1 libgl1 libgl1-mesa-dri \
    && rm -rf /var/lib/apt/lists/* /root/.ros

# What rosdep does not have, and nothing that would replace Ubuntu's numpy.
COPY docker/ubuntu-${TOKYO_UBUNTU}.lock /opt/sim.lock
ARG PIP_EXTRA_INDEX_URL
RUN python3 -m venv --system-site-packages /opt/venv \
    && ln -s "$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" /opt/venv/packages \
    && /opt/venv/bin/pip install --no-cache-dir -r /opt/sim.lock

# ros2 and the nodes run in the system's Python: this is how it finds them. Fast DDS: sweeps and images are large.
ENV PYTHONPATH=/opt/venv/packages \
    FASTDDS_DEFAULT_PROFILES_FILE=/opt/tokyo/share/tokyo_sim/config/fastdds.xml

RUN --mount=type=bind,source=ros2_ws/src,target=/build/src,rw \
    --mount=type=bind,source=learner,target=/build/learner,rw \
    . "/opt/ros/$TOKYO_DISTRO/setup.bash" \
    && colcon --log-base /tmp/log build --merge-install --base-paths /build/src --build-base /tmp/build \
       --install-base /opt/tokyo \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps /build/learner \
    && ln -s /opt/tokyo/lib/tokyo_occworld/tokyo /usr/local/bin/tokyo \
    && rm -rf /tmp/log /tmp/build

# Ubuntu's images have a user of their own with the id that most people have.
ARG UID=1000
ARG GID=1000
RUN if id ubuntu > /dev/null 2>&1; then userdel --remove ubuntu; fi \
    && groupadd --non-unique --gid "$GID" tokyo \
    && useradd --non-unique --uid "$UID" --gid "$GID" --create-home --shell /bin/bash tokyo \
    && install -d -o tokyo -g tokyo /tokyo /tokyo/out /tokyo/data /tokyo/work_dirs
COPY launch /tokyo/launch
COPY docker/entrypoint.sh /usr/local/bin/entrypoint.sh
USER $UID:$GID
WORKDIR /tokyo
ENTRYPOINT ["entrypoint.sh"]
CMD ["ros2", "launch", "tokyo_sim", "city.launch.py", "--show-args"]
# The simulation runs: its clock is heard.
HEALTHCHECK --interval=30s --timeout=20s --start-period=90s --retries=3 \
    CMD ["entrypoint.sh", "timeout", "15", "ros2", "topic", "echo", "--once", "/clock", "rosgraph_msgs/msg/Clock"]
