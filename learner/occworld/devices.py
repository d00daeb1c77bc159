"""Where a run computes and in what precision: a device, the GPUs named, cores of the CPU, or what torchrun started."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy

from occworld.config import ConfigError, TrainingConfig

_PRECISIONS: dict[str, Any] = {"fp32": "32-true", "fp16": "16-mixed", "bf16": "bf16-mixed"}
# The first process evaluates while the others wait: longer than the ten minutes that NCCL would give it.
_PATIENCE = timedelta(hours=6)


def processes(training: TrainingConfig, gpu_ids: list[int] | None, cpu_cores: int = 0) -> Fabric:
    """The launched Fabric; ConfigError for GPUs that are not there.

    cpu_cores: so many processes on the CPU, whatever GPU there is, each with a batch of its own and one thread. Small
    operations gain next to nothing by a second one, and sums that threads share are added up in no fixed order.
    """
    if cpu_cores:
        torch.set_num_threads(1)
    cuda = torch.cuda.is_available() and not cpu_cores
    if gpu_ids and max(gpu_ids) >= (torch.cuda.device_count() if cuda else 0):
        there = f"{torch.cuda.device_count()} CUDA devices" if cuda else "no CUDA device"
        raise ConfigError(f"--gpu-ids {','.join(map(str, gpu_ids))}: this machine has {there}")
    devices: list[int] | int = gpu_ids or cpu_cores or int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    nodes = int(os.environ.get("GROUP_WORLD_SIZE", 1))
    many = nodes > 1 or (len(devices) if isinstance(devices, list) else devices) > 1
    # In each stage some weights have no part in the loss.
    strategy = DDPStrategy(find_unused_parameters=True, timeout=_PATIENCE) if many else "auto"
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu", devices=devices, num_nodes=nodes, strategy=strategy,
        precision=_PRECISIONS[precision(training, "cuda" if cuda else "cpu")],
    )  # fmt: skip
    for part in ("lightning.fabric", "lightning.pytorch"):  # each process would introduce itself, twice
        logging.getLogger(part).setLevel(logging.WARNING)
    fabric.launch()
    return fabric


def precision(training: TrainingConfig, device: str) -> str:
    """'fp32', 'fp16' or 'bf16': as asked for, but fp16 on a CPU, which has no arithmetic for it, is fp32."""
    return "fp32" if (training.precision, device) == ("fp16", "cpu") else training.precision
