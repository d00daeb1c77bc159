# The learner with PyTorch for CUDA, no ROS. From the repository's root:
#   docker build -f docker/train.Dockerfile -t tokyo-occworld-train .
# CUDA 13 comes with PyTorch's wheels; the host needs NVIDIA's driver, 580 or newer, and its container toolkit.
FROM python:3.12.12-slim-bookworm@sha256:593bd06efe90efa80dc4eee3948be7c0fde4134606dd40d8dd8dbcade98e669c
ENV PYTHONUNBUFFERED=1 NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ARG PIP_EXTRA_INDEX_URL
# Gigabytes in a layer of their own, which changes with the lock only.
COPY requirements.lock /opt/requirements.lock
RUN pip install --no-cache-dir -c /opt/requirements.lock torch
COPY learner /tokyo/learner
RUN --mount=type=bind,source=ros2_ws/src/occ_core,target=/build/occ_core,rw \
    pip install --no-cache-dir -c /opt/requirements.lock /build/occ_core -e /tokyo/learner
ARG UID=1000
ARG GID=1000
RUN groupadd --non-unique --gid "$GID" tokyo \
    && useradd --non-unique --uid "$UID" --gid "$GID" --create-home tokyo \
    && install -d -o tokyo -g tokyo /tokyo/data /tokyo/work_dirs
USER $UID:$GID
WORKDIR /tokyo/learner
ENTRYPOINT ["python", "train.py"]
CMD ["--help"]
# Training goes on: it writes its log, curves or checkpoints. The process itself ends where it fails.
HEALTHCHECK --interval=5m --timeout=20s --start-period=15m --retries=3 \
    CMD ["sh", "-c", "find /tokyo/work_dirs -type f -mmin -30 | grep -q ."]
