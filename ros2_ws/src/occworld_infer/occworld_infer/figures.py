"""Latency and score of the forecast as messages: numbers with their names in the layout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from std_msgs.msg import Float32MultiArray, MultiArrayDimension

from occworld_infer.grading import Grade

LATENCY_STAGES = ("voxelize_s", "model_s", "total_s")
SCORE_COLUMNS = ("horizon_s", "iou", "warp_iou", "observed_iou", "observed_warp_iou", "count")


def latency_message(seconds: Sequence[float]) -> Float32MultiArray:
    """One dimension, whose label names the numbers as LATENCY_STAGES."""
    message = Float32MultiArray(data=[float(value) for value in seconds])
    message.layout.dim = [_dimension(LATENCY_STAGES)]
    return message


def score_message(grades: Sequence[Grade]) -> Float32MultiArray:
    """A row for each horizon that was graded, nearest first; the label of the columns names them as SCORE_COLUMNS."""
    rows = [(g.horizon_s, g.iou, g.warp_iou, g.observed_iou, g.observed_warp_iou, g.count) for g in grades]
    message = Float32MultiArray(data=[float(value) for row in rows for value in row])
    outer = MultiArrayDimension(label="horizons", size=len(rows), stride=len(message.data))
    message.layout.dim = [outer, _dimension(SCORE_COLUMNS)]
    return message


def _dimension(names: Sequence[str]) -> MultiArrayDimension:
    return MultiArrayDimension(label=",".join(names), size=len(names), stride=len(names))


def from_latency(message: Float32MultiArray) -> dict[str, float]:
    """Seconds by stage. ValueError where names and numbers disagree, and for numbers that are not finite."""
    if len(message.layout.dim) != 1:
        raise ValueError(f"a latency has one dimension, this one {len(message.layout.dim)}")
    seconds = dict(zip(message.layout.dim[0].label.split(","), message.data, strict=True))
    if not np.isfinite(list(seconds.values())).all():
        raise ValueError(f"a latency of {seconds}")
    return seconds


def from_score(message: Float32MultiArray) -> np.ndarray:
    """(n, 6) float64, columns as SCORE_COLUMNS. ValueError for another number of them, and for NaN horizons."""
    table = np.array(message.data, dtype=np.float64).reshape(-1, len(SCORE_COLUMNS))
    if not np.isfinite(table[:, [0, -1]]).all():
        raise ValueError("a score at horizons or of counts that are no numbers")
    return table
