"""The checkpoint that comes with the package: it loads, it is small, it names nothing of where it was made."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from occ_core.classes import Semantic
from occ_core.frame import VehicleState
from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose
from occ_core.sparse_grid import SparseGrid
from occworld import motion as motions
from occworld.checkpoint import Checkpoint
from occworld.fast.model import FastOccWorld
from occworld.forecaster import Forecaster
from occworld.metrics import confusion, score
from occworld.scene import Scene
from occworld.warp import resample
from occworld_infer.shipped import shipped_checkpoint

CHECKPOINTS = shipped_checkpoint().parent


def test_the_shipped_checkpoint_is_small_and_has_its_card() -> None:
    body = shipped_checkpoint().read_bytes()
    card = (CHECKPOINTS / "tokyo.md").read_text()
    assert len(body) < 8e6
    for said in ("trained on", "seed", "train.py --config config/shipped_tokyo.py", "no plan", "planned poses"):
        assert said in card
    for place in ("/tmp/", "/home/", "/root/"):
        assert place not in card and place.encode() not in body


def test_without_a_gpu_it_is_forecast_from_without_pytorch() -> None:
    program = (
        "import sys; from occworld.forecaster import Forecaster, _finds_cuda\n"
        "from occworld_infer.shipped import shipped_checkpoint\n"
        "if _finds_cuda(): sys.exit(7)\n"
        "Forecaster.load(shipped_checkpoint(), 'auto', precision='auto').warm_up()\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if done.returncode == 7:
        pytest.skip("there is a GPU")
    assert done.stdout == "False\n", done.stderr


def _street() -> np.ndarray:
    street = np.zeros(TOKYO_GRID.shape, np.uint8)
    street[40:160, 80:120, 1] = Semantic.ROAD
    street[40:160, 70:80, 1] = street[40:160, 120:130, 1] = Semantic.SIDEWALK
    street[40:160, 68:70, 1:8] = street[40:160, 130:132, 1:8] = Semantic.BUILDING
    return street


def test_a_street_that_stands_still_goes_on_standing() -> None:
    forecaster, street = Forecaster.load(shipped_checkpoint()), _street()
    at = Pose(np.array([0.0, 0.0, 0.4]), np.array([1.0, 0, 0, 0]))
    level = Pose(np.zeros(3), np.array([1.0, 0, 0, 0]))
    states = [VehicleState(0.5 * i, at, np.zeros(3), np.zeros(3), level) for i in range(4)]
    result = forecaster([street] * 4, states)
    assert np.abs(result.path[:, :2]).max() < 1.0
    assert score(confusion(result.classes[0], street), 0.5).iou > 0.6


@pytest.mark.parametrize("planned", [False, True])
def test_compiled_loops_forecast_what_the_layers_do(planned: bool) -> None:
    """Along a street, turning slowly, behind a car."""
    model = Checkpoint.load(shipped_checkpoint()).model(shipped_checkpoint()).eval()
    assert isinstance(model, FastOccWorld) and (model.head.gate[..., 1] > 0).any() and model.head.named_right.any()
    steps = np.arange(model.history + model.steps)[:, None]
    ahead = steps * np.array([[1.3, 0.05, 0.02, 0.06]])
    footprint, frames = ahead[: model.history], []
    for t, motion in enumerate(footprint):
        street = resample(TOKYO_GRID, _street(), motion)
        street[130 - t : 139 - t, 98:103, 2:5] = Semantic.CAR
        frames.append(SparseGrid.from_dense(street))
    poses = np.zeros((model.history, 13))
    poses[:, :3], poses[:, 2], poses[:, 3], poses[:, 7] = footprint[:, :3], footprint[:, 2] + 0.4, 1.0, 2.6
    plan = motions.between(footprint[-1], ahead[model.history :]) if planned else None
    scene = Scene(TOKYO_GRID, tuple(frames), footprint, poses, plan)
    with torch.inference_mode():
        imagined = model.imagine([scene])
        future, velocity = model.future_motion(scene, imagined.motion[0]), imagined.velocity[0].numpy()
        layers = model.filled(scene, imagined.latents[0], future, velocity)
    latents = imagined.latents[0].permute(0, 2, 3, 1).numpy()
    loops = model.without_torch().filled(scene, latents, future, velocity)
    for ours, theirs in zip(loops, layers, strict=True):
        # Sums in another order: a voxel that is as good as on its threshold may fall to the other side.
        same = ours.classes == theirs.classes
        assert np.count_nonzero(~same) <= 1e-4 * np.count_nonzero(theirs.classes)
        there = same & (theirs.classes > 0)
        assert there.any() and np.allclose(ours.probability[there], theirs.probability[there], atol=2e-3)
