"""One lane of a section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokyo_sim.traffic.curves import arc


@dataclass(frozen=True)
class Lane:
    """line: (n, 2) metres in map, in driving direction. width: metres. kinds: bits of the vehicles that use it.

    section, forward: the section and whether it goes along its line. rank: 0 for the lane next to the centre line.
    origin, end: the junctions that it leaves and reaches.
    """

    line: np.ndarray
    width: float
    kinds: int
    section: int
    forward: bool
    rank: int
    origin: int
    end: int

    @property
    def length(self) -> float:
        """Metres."""
        return float(arc(self.line)[-1])
