"""The learner: packed loader beside npz files, a six-frame forecast of each model, the faithful one's memory."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bench.pairs import Row, paired, table
from occ_core.frame import Frame, VehicleState
from occ_core.grid import TOKYO_GRID
from occ_core.keyframes import KeyframeBuilder, OccupancySource
from occ_core.poses import footprint
from occ_core.session import Session, SessionInfo, SessionWriter, find_sessions
from occworld.checkpoint import build_model
from occworld.config import read_config
from occworld.dataset import DatasetConfig, GazeboOccWorldDataset
from occworld.faithful.fold import ClassTable, SparseFold
from occworld.scene import Scene
from tokyo_sim.engine.simulator import Fleet, Simulator

_CONFIGS = Path(__file__).resolve().parents[1] / "learner/config"
_FRAMES = 12


def record(city: Path, root: Path) -> None:
    """A rover's drive of 12 frames, without images."""
    simulator = Simulator(city, Fleet(0, 1, 30, cameras=False), seed=1)
    builder = KeyframeBuilder(TOKYO_GRID, OccupancySource.ACCUMULATED, 3.0, simulator.city)
    writer = SessionWriter(root / "rover_0_20240115_120000", SessionInfo("rover_0", TOKYO_GRID, 0.5, "accumulated"))
    simulator.command(0, np.array([4.0, 0, 0]), np.array([0, 0, 0.1]))
    for step in range(5 * _FRAMES):
        simulator.step(0.1)
        simulator.step_traffic(0.1)
        motion = simulator.motion(0)
        actors = [actor for actor in simulator.actors() if actor.instance != 1]
        points = simulator.sweep(0).points.reshape(-1, 3)
        builder.add(simulator.time, points, motion.pose @ simulator.robots[0].lidar.mount, actors)
        if step % 5 == 4:
            level = footprint(motion.pose, simulator.ground_under(0))
            state = VehicleState(0.5 * (step // 5), motion.pose, motion.linear, motion.angular, level)
            writer.write(Frame(state, points[:1].astype(np.float32).repeat(4, 1)[:, :4], builder.build(level, actors)))


def loader(root: Path) -> Row:
    """A sample of ten frames: packed and sparse beside npz files read in turn."""
    data, session = GazeboOccWorldDataset(root, DatasetConfig()), find_sessions(root)[0]
    return Row("sample of ten frames", *paired(lambda: touch(data), lambda: from_npz(session), 5), "npz files")


def touch(data: GazeboOccWorldDataset) -> int:
    """Read every voxel of a sample, so that memory-mapped pages are paid for."""
    return sum(int(frame.voxels.sum()) + int(frame.classes.sum()) for frame in data[0].frames)


def from_npz(session: Session) -> int:
    """The same sample from the recorded files."""
    return sum(int(session.classes(number).sum()) for number in session.numbers[:10])


def fold(root: Path) -> Row:
    """A frame through class embedding, fold and first convolution, beside the dense computation."""
    frame = GazeboOccWorldDataset(root, DatasetConfig())[0].frames[0]
    sparse = SparseFold(TOKYO_GRID.shape, ClassTable.of("tokyo"), 8, 64)
    classes = torch.from_numpy(frame.dense(TOKYO_GRID.shape)).long()

    def dense() -> torch.Tensor:
        return sparse.conv(sparse.embedding(classes)[None].flatten(3).permute(0, 3, 1, 2))

    with torch.inference_mode():
        return Row("embedding, fold, convolution", *paired(lambda: sparse([frame]), dense, 3), "dense")


def latency(root: Path, name: str) -> Row:
    """Six frames ahead, beside real time: a forecast every half second."""
    config = read_config(_CONFIGS / f"{name}.py")
    model = build_model(config).eval()
    data = GazeboOccWorldDataset(root, replace(config.data, split="all"))
    scene = Scene.of(model.grid, data[0], False)
    ours, _ = paired(lambda: model.forecast(scene), lambda: None, 1 if name == "finetune_tokyo" else 3)
    return Row(f"forecast, {name}", ours, config.data.frame_period, "half a second")


def run(udx: Path, city: Path) -> str:
    """The table. udx: the sample city's CityGML; city: the same imported."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        record(city, root)
        forecasts = [latency(root, name) for name in ("demo_tokyo", "fast_tokyo", "finetune_tokyo")]
        return table([loader(root), fold(root), *forecasts])
