"""Training: windows a second and memory of a step of the optimizer, and beside the authors' code where it is at hand.

On a CPU at batch 1; on a GPU at batch 1, 4 and 8, in half precision too. OCCWORLD_REFERENCE names a checkout of
wzzheng/OccWorld. Each figure comes from a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from occworld.checkpoint import build_model
from occworld.config import Config, read_config
from occworld.dataset import Batch, GazeboOccWorldDataset
from occworld.faithful.reference import reference_model, reference_step
from occworld.layers.attention import TimeCache
from occworld.layers.blocks import set_recompute
from occworld.losses import class_weights
from occworld.throughput import peak_memory_gb

_CONFIGS = Path(__file__).resolve().parents[1] / "learner/config"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_REFERENCE_FRAMES = 10


@dataclass(frozen=True)
class Step:
    """What is measured: a step of a stage of a config's training, or of the authors' code ('reference')."""

    config: str
    stage: int = 2
    batch: int = 1
    recompute: bool = False
    precision: str = "fp32"


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def measure(step: Step, root: Path, repeats: int) -> dict[str, float]:
    """seconds of the fastest of some steps after a first one, and peak_gb."""
    torch.manual_seed(0)
    work = _reference_work(step) if step.config == "reference" else _work(step, root)
    times = []
    for _ in range(1 + repeats):
        began = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return {"seconds": min(times[1:] or times), "peak_gb": peak_memory_gb()}


def _work(step: Step, root: Path):
    config = read_config(_CONFIGS / f"{step.config}.py")
    data = GazeboOccWorldDataset(root, replace(config.data, split="all"))
    model = build_model(config).train()
    if step.recompute:
        model.recompute()
    if step.stage == 2:
        model.freeze(True, False, False)
        model.tokenizer.eval()
    objective = model.objective(config.training, class_weights(data.class_counts())).to(_device())
    batch = Batch([data[i % len(data)] for i in range(step.batch)])
    return _trained(step, model, lambda: objective(batch, step.stage).total)


def _reference_work(step: Step):
    config = read_config(_CONFIGS / "occworld_nuscenes.py")
    model = reference_model(Path(os.environ["OCCWORLD_REFERENCE"]), 200, 16, config.model, _REFERENCE_FRAMES - 1)
    model = model.to(_device()).train()
    model.vae.requires_grad_(False)
    grids = torch.full((step.batch, _REFERENCE_FRAMES, 200, 200, 16), 17, device=_device())
    poses = torch.randn(step.batch, _REFERENCE_FRAMES - 1, 5, device=_device())

    def loss() -> torch.Tensor:
        logits, decoded = reference_step(model, grids, poses)
        return logits.logsumexp(2).mean() + decoded.square().mean()

    return _trained(step, model, loss)


def _trained(step: Step, model: torch.nn.Module, loss):
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)

    def work() -> None:
        with torch.autocast(_device(), _DTYPES[step.precision], enabled=step.precision != "fp32"):
            total = loss()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return work


def kept_gb(config: Config, batch: int, recompute: bool) -> float:
    """What the transformer's forward pass keeps for the backward pass, 10^9 bytes; counted, not computed."""
    sizes: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        sizes[storage._cdata] = storage.nbytes()
        held.append(storage)
        return tensor

    held: list = []
    with FakeTensorMode():
        model = build_model(config).train()
        set_recompute(model, recompute)
        frames = model.history + model.steps - 1
        codes = torch.randn(batch, frames, config.model.code_dim, *model.tokenizer.size)
        poses = torch.randn(batch, frames, config.model.embed_dim)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model.transformer(codes, poses, TimeCache(keeps=False))
        weights = {p.untyped_storage()._cdata for p in model.parameters()}
    return sum(size for storage, size in sizes.items() if storage not in weights) / 1e9


def apart(step: Step, root: Path, repeats: int) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, "-m", "bench.training", json.dumps(asdict(step)), str(root), str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def steps() -> list[Step]:
    """What this machine can measure."""
    cpu = _device() == "cpu"
    faithful = [
        Step("finetune_tokyo", 2, batch, recompute, precision)
        for precision in (("fp32",) if cpu else ("fp32", "bf16", "fp16"))
        for recompute in (False, True)
        for batch in ((1,) if cpu else (1, 4, 8))
    ]
    return [*faithful, Step("finetune_tokyo", 1), Step("demo_tokyo")]


def run(udx: Path, city: Path) -> str:
    """The tables. udx: the sample city's CityGML; city: the same imported."""
    from bench.learning import record

    repeats = 1 if _device() == "cpu" else 10
    with tempfile.TemporaryDirectory() as folder:
        record(city, Path(folder))
        lines = [
            "| a step of training | batch | precision | recompute | windows/s | peak memory, GB |",
            "|---" * 6 + "|",
        ]
        measured = [(step, apart(step, Path(folder), repeats)) for step in steps()]
        lines += [
            f"| {s.config}, stage {s.stage} | {s.batch} | {s.precision} | {'yes' if s.recompute else 'no'} |"
            f" {s.batch / m['seconds']:.3f} | {m['peak_gb']:.1f} |"
            for s, m in measured
        ]
        minute = 60 / measured[-1][1]["seconds"]
        lines += ["", f"demo_tokyo: {minute / 100:.2f} epochs of 100 windows a minute.", "", _beside(repeats)]
    config = read_config(_CONFIGS / "finetune_tokyo.py")
    lines += [
        "",
        "| kept for the backward pass of finetune_tokyo's stage 2, GB, fp32 | batch 1 | 4 | 8 |",
        "|---" * 4 + "|",
    ]
    for recompute in (False, True):
        cells = " | ".join(f"{kept_gb(config, batch, recompute):.2f}" for batch in (1, 4, 8))
        lines.append(f"| {'with' if recompute else 'without'} recompute | {cells} |")
    return "\n".join(lines)


def _beside(repeats: int) -> str:
    """The authors' code at its own widths and ours at the same, on an Occ3D grid of empty frames."""
    if not os.environ.get("OCCWORLD_REFERENCE"):
        return "OCCWORLD_REFERENCE names no checkout of wzzheng/OccWorld: nothing beside ours."
    with tempfile.TemporaryDirectory() as folder:
        write_empty(Path(folder))
        ours, theirs = (apart(Step(name), Path(folder), repeats) for name in ("occworld_nuscenes", "reference"))
    ratio = theirs["seconds"] / ours["seconds"]
    return (
        f"At the original's numbers, batch 1, ten frames, a step takes us {ours['seconds']:.2f} s and"
        f" {ours['peak_gb']:.1f} GB, the authors' code {theirs['seconds']:.2f} s and {theirs['peak_gb']:.1f} GB:"
        f" ratio {ratio:.2f}."
    )


def write_empty(root: Path) -> None:
    """A session of ten empty frames on the original's grid: both codes take the same time whatever is in a frame, but
    for our fold, which takes less."""
    import numpy as np

    from occ_core.frame import Frame, Occupancy, VehicleState
    from occ_core.poses import Pose
    from occ_core.session import SessionInfo, SessionWriter

    grid = read_config(_CONFIGS / "occworld_nuscenes.py").data.grid
    writer = SessionWriter(root / "rover_0_20240115_120000", SessionInfo("rover_0", grid, 0.5, "synthetic"))
    for i in range(_REFERENCE_FRAMES):
        pose = Pose(np.array([2.0 * i, 0, 0]), np.array([1.0, 0, 0, 0]))
        state = VehicleState(0.5 * i, pose, np.array([4.0, 0, 0]), np.zeros(3), pose)
        empty = Occupancy(np.zeros(grid.shape, np.uint8), np.ones(grid.shape, bool), np.zeros(grid.shape, np.uint16))
        writer.write(Frame(state, np.zeros((1, 4), np.float32), empty))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("step"), parser.add_argument("root", type=Path), parser.add_argument("repeats", type=int)
    given = parser.parse_args()
    print(json.dumps(measure(Step(**json.loads(given.step)), given.root, given.repeats)))
