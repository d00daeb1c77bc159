# Training on a CUDA machine, no ROS. Build from the repository's root:
#   docker build -f docker/train.Dockerfile -t tokyo-occworld-train .
FROM pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime
WORKDIR /tokyo
COPY ros2_ws/src/occ_core occ_core
COPY learner learner
RUN pip install --no-cache-dir ./occ_core && pip install --no-cache-dir ./learner \
    && useradd --create-home tokyo && chown -R tokyo /tokyo
USER tokyo
WORKDIR /tokyo/learner
ENTRYPOINT ["python", "train.py"]
CMD ["--help"]
