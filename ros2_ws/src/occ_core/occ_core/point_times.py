"""When each point of a cloud was measured, as drivers write it: a turning LiDAR takes a tenth of a second a sweep."""

from __future__ import annotations

import numpy as np

FIELDS = ("time", "t", "timestamp", "offset_time", "time_stamp", "time_offset", "ts")
"""Velodyne and this simulator; Ouster and SICK; Hesai, Robosense and Livox; Livox; Autoware; others; SICK."""
# A sweep lasts from some milliseconds to a second: of the numbers that it spans, only one unit makes such a time.
_UNITS_S = (1.0, 1e-3, 1e-6, 1e-9)
_UNITS_OF_INTEGERS_S = (1e-3, 1e-6, 1e-9)
_SHORTEST_S, _LONGEST_S = 2e-3, 2.0
_SHORTEST_IN_MS, _POINTS_A_MS = 20, 4  # of whole ones, of which many points have the same
_NEAR_S = 1.0
_ABSOLUTE = ("timestamp", "time_stamp")


class PointClock:
    """Reads the times of one LiDAR's points. What unit and clock they are of is found in the first sweep that shows it.

    foreign: the times are of a clock that is neither the stamps' nor counted from the stamp, so that the first point of
    a sweep is taken to be at its stamp.
    """

    def __init__(self) -> None:
        self._unit: float | None = None
        self.foreign = False

    def offsets(self, cloud: np.ndarray, stamp: float, points: np.ndarray | None = None) -> np.ndarray | None:
        """(n,) float64 seconds after the stamp of each point of a structured cloud; NaN for one that has no time.

        points: (n, 3 or more) x y z of the same; where nothing came back, a time of 0 is none.
        None where the cloud has no such field, where that does not vary, and where no unit makes a sweep of it.
        """
        name = next((name for name in FIELDS if name in (cloud.dtype.names or ())), "")
        if not name or not len(cloud) or cloud.dtype[name].shape:
            return None
        values = cloud[name]
        if (values == values[0]).all():
            return None
        finite = np.isfinite(values)
        if points is not None and len(at_zero := np.flatnonzero(values == 0)):
            x, y, z = points[at_zero, :3].T  # column by column: across rows of three NumPy takes ten times as long
            returned = np.isfinite(x) & np.isfinite(y) & np.isfinite(z) & ((x != 0) | (y != 0) | (z != 0))
            finite[at_zero] &= returned
        if not finite.any():
            return None
        first, last = values[finite].min(), values[finite].max()
        # Integers of nanoseconds since 1970 are more than a float64 holds: the difference comes first.
        after = (values - first).astype(np.float64) if values.dtype.kind in "iu" else values.astype(np.float64) - first
        span = float(last - first) if values.dtype.kind == "f" else float(int(last) - int(first))
        unit = self._unit_of(span, len(values), values.dtype.kind == "f")
        if span == 0 or unit is None:
            return None
        offsets = after * unit + self._begins(name, float(first) * unit, span * unit, stamp)
        offsets[~finite] = np.nan
        return offsets

    def _unit_of(self, span: float, points: int, broken: bool) -> float | None:
        """Seconds of 1 in times that span so much. broken: they have digits behind the point."""
        if self._unit is not None and span * self._unit <= _LONGEST_S:
            return self._unit
        units: tuple[float, ...] = _UNITS_S if broken else _UNITS_OF_INTEGERS_S
        if not broken and (span < _SHORTEST_IN_MS or span * _POINTS_A_MS > points):
            units = units[1:]
        found = next((unit for unit in units if _SHORTEST_S <= span * unit < _LONGEST_S), None)
        if found is not None:
            self._unit = found
        return found

    def _begins(self, field: str, first: float, lasts: float, stamp: float) -> float:
        """Seconds after the stamp of the first point. first: its time, seconds. lasts: of the sweep, seconds."""
        from_stamp = -_NEAR_S <= first and first + lasts <= _NEAR_S
        of_its_clock = abs(first - stamp) <= _NEAR_S
        if from_stamp and of_its_clock:  # within the first second of a simulated clock
            return first - stamp if field in _ABSOLUTE else first
        if from_stamp or of_its_clock:
            return first if from_stamp else first - stamp
        self.foreign = True
        return 0.0
