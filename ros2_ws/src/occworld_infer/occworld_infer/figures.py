"""Latency and score of the forecast as plain numbers, for plots and for those who have not built occ_msgs.

OccupancyForecast has the same in fields with names; here their order is fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields

import numpy as np
from std_msgs.msg import Float32MultiArray, MultiArrayDimension

from occworld_infer.forecast_message import Latency
from occworld_infer.grading import Grade

LATENCY_STAGES = tuple(field.name for field in fields(Latency))
SCORE_COLUMNS = ("horizon_s", "iou", "warp_iou", "observed_iou", "observed_warp_iou", "count")


def latency_message(latency: Latency) -> Float32MultiArray:
    """Numbers in the order of LATENCY_STAGES."""
    message = Float32MultiArray(data=[float(value) for value in astuple(latency)])
    message.layout.dim = [_dimension(LATENCY_STAGES)]
    return message


def score_message(grades: Sequence[Grade]) -> Float32MultiArray:
    """A row for each horizon that was graded, nearest first, with columns in the order of SCORE_COLUMNS."""
    rows = [(g.horizon_s, g.iou, g.warp_iou, g.observed_iou, g.observed_warp_iou, g.count) for g in grades]
    message = Float32MultiArray(data=[float(value) for row in rows for value in row])
    outer = MultiArrayDimension(size=len(rows), stride=len(message.data))
    message.layout.dim = [outer, _dimension(SCORE_COLUMNS)]
    return message


def _dimension(names: Sequence[str]) -> MultiArrayDimension:
    return MultiArrayDimension(size=len(names), stride=len(names))


def from_latency(message: Float32MultiArray) -> Latency:
    """ValueError for another number of stages, and for numbers that are not finite."""
    if len(message.data) != len(LATENCY_STAGES):
        raise ValueError(f"a latency has {len(LATENCY_STAGES)} numbers, this one {len(message.data)}")
    if not np.isfinite(message.data).all():
        raise ValueError(f"a latency of {list(message.data)}")
    return Latency(*message.data)


def from_score(message: Float32MultiArray) -> np.ndarray:
    """(n, 6) float64, columns as SCORE_COLUMNS. ValueError for another number of them, and for NaN horizons."""
    table = np.array(message.data, dtype=np.float64).reshape(-1, len(SCORE_COLUMNS))
    if not np.isfinite(table[:, [0, -1]]).all():
        raise ValueError("a score at horizons or of counts that are no numbers")
    return table


def grades_of(table: np.ndarray) -> tuple[Grade, ...]:
    """Grades of a table as `from_score` reads it."""
    return tuple(Grade(round(row[0], 3), *row[1:5], count=int(row[5])) for row in table.tolist())
