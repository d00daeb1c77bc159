"""The checkpoint that comes with the package: it loads, it is small, it names nothing of where it was made."""

from __future__ import annotations

import numpy as np

from occ_core.classes import Semantic
from occ_core.frame import VehicleState
from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose
from occworld.forecaster import Forecaster
from occworld.metrics import confusion, score
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


def test_a_street_that_stands_still_goes_on_standing() -> None:
    forecaster = Forecaster.load(shipped_checkpoint())
    street = np.zeros(TOKYO_GRID.shape, np.uint8)
    street[40:160, 80:120, 1] = Semantic.ROAD
    street[40:160, 70:80, 1] = street[40:160, 120:130, 1] = Semantic.SIDEWALK
    street[40:160, 68:70, 1:8] = street[40:160, 130:132, 1:8] = Semantic.BUILDING
    at = Pose(np.array([0.0, 0.0, 0.4]), np.array([1.0, 0, 0, 0]))
    level = Pose(np.zeros(3), np.array([1.0, 0, 0, 0]))
    states = [VehicleState(0.5 * i, at, np.zeros(3), np.zeros(3), level) for i in range(4)]
    result = forecaster([street] * 4, states)
    assert np.abs(result.path[:, :2]).max() < 1.0
    assert score(confusion(result.classes[0], street), 0.5).iou > 0.6
