"""What the fast model's decisions need to know, counted on training windows: see `thresholds`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from occ_core.progress import Steps
from occworld.dataset import GazeboOccWorldDataset
from occworld.evaluator import evenly
from occworld.fast.thresholds import LEAST, Counts
from occworld.scene import Scene

if TYPE_CHECKING:
    from occworld.fast.model import FastOccWorld


def calibrate(model: FastOccWorld, data: GazeboOccWorldDataset, limit: int | None = None) -> None:
    """Set `model.head.named_right` and `missed` from windows of a dataset, with and without a plan. Leaves eval mode.

    After `fit_gate`, without which probabilities are none.
    """
    model.eval()
    model.head.threshold.fill_(float(np.log(LEAST / (1 - LEAST))))
    model.head.named_right.zero_()  # nothing is left out of what is counted
    rows = [Counts.none() for _ in range(2 * model.steps)]
    for index in Steps(evenly(len(data), limit), desc="calibrating", unit="window", leave=False):
        window = data[index]
        for planned in (False, True):
            result = model.forecast(Scene.of(model.grid, window, planned))
            for step, frame in enumerate(result.frames):
                rows[step + model.steps * planned].add(frame, window.future[step])
    model.head.named_right.copy_(torch.from_numpy(np.stack([counts.named_right() for counts in rows])))
    model.head.missed.copy_(torch.from_numpy(np.stack([counts.missed() for counts in rows])))
