"""Streets cut off before their junctions: what is left between are sections, on which lanes can be laid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokyo_sim.traffic.curves import arc, resample
from tokyo_sim.traffic.lanes import StreetNetwork
from tokyo_sim.traffic.shapes import rows_beside

STEP_M = 0.5
CROSSING_M = 3.0  # depth of a pedestrian crossing, between a junction's core and the stop line
_KERB_M = 0.7  # a stop line keeps so far from the edge of the other streets
_SHORTEST_SECTION_M = 12.0
_SEARCH_M = 60.0
_BENT_M, _GOES_ON_RAD = 12.0, np.radians(35)


@dataclass(frozen=True)
class Section:
    """A street between two junctions.

    line: (n, 2) metres in map, centre line from end to end. width: of the carriageway, metres. junctions: the two
    that it joins. setbacks: metres from each end of the line to the stop line there. dead_ends: of the two ends.
    """

    line: np.ndarray
    width: float
    junctions: tuple[int, int]
    setbacks: tuple[float, float]
    dead_ends: tuple[bool, bool]

    @property
    def length(self) -> float:
        """Metres of centre line, setbacks included."""
        return float(arc(self.line)[-1])


def sections(streets: StreetNetwork) -> list[Section]:
    """All sections. Junctions with no room for a lane between them become one; short dead ends are left out."""
    cut = _Cutter(streets)
    while cut.merge():
        pass
    return cut.sections()


class _Cutter:
    """Merges junctions until every section that is left has room for a lane."""

    def __init__(self, streets: StreetNetwork) -> None:
        from networkx.utils import UnionFind  # takes a moment to load

        self._ends = [(a, b) for a, b, _ in streets.edges]
        self._lines = [resample(streets.line(edge, edge[0]), STEP_M) for edge in streets.edges]
        self._widths = [streets.width(edge) for edge in streets.edges]
        self._lengths = [float(arc(line)[-1]) for line in self._lines]
        self._junction = UnionFind(sorted(streets.graph))
        self._kept = [True] * len(self._ends)  # still a section, neither inside a junction nor left out
        self._dropped = [False] * len(self._ends)
        # What has been found out, while junctions are merged around it.
        self._reach: dict[tuple[int, int, int], float] = {}
        self._directions: dict[tuple[int, int], tuple[float, float]] = {}
        self._setbacks: dict[tuple[int, int], tuple[list[int], tuple[float, bool]]] = {}
        self._ends_wide: dict[tuple[int, int], np.ndarray] = {}

    def _touching(self) -> dict[int, list[int]]:
        """Streets at each junction, those inside it included."""
        touching: dict[int, list[int]] = {}
        for number, ends in enumerate(self._ends):
            if not self._dropped[number]:
                for junction in sorted({self._junction[end] for end in ends}):
                    touching.setdefault(junction, []).append(number)
        return touching

    def _setback(self, number: int, end: int, touching: dict[int, list[int]]) -> tuple[float, bool]:
        """Metres from an end of a street to its stop line, and is that end a dead end?"""
        here = self._ends[number][end]
        others = [other for other in touching[self._junction[here]] if other != number]
        if not others:
            loop = self._junction[self._ends[number][0]] == self._junction[self._ends[number][1]]
            return (CROSSING_M, False) if loop else (self._widths[number] / 2 + 2.0 + CROSSING_M, True)
        known, setback = self._setbacks.get((number, end), ([], (0.0, False)))
        if known != others:
            crossing = (other for other in others if not self._goes_on(number, other, here))
            clear = max((self._clear_of(number, end, other) for other in crossing), default=0.0)
            setback = clear + CROSSING_M, False
            self._setbacks[number, end] = others, setback
        return setback

    def _goes_on(self, number: int, other: int, node: int) -> bool:
        """Do two streets leave a node in opposite directions, one going on as the other?"""
        if node not in self._ends[other]:
            return False
        (ax, ay), (bx, by) = self._direction(number, node), self._direction(other, node)
        return ax * bx + ay * by < -np.cos(_GOES_ON_RAD)

    def _direction(self, number: int, node: int) -> tuple[float, float]:
        """Unit vector from a node along a street, past where the skeleton of the junction bends it."""
        if (number, node) not in self._directions:
            line = self._lines[number] if self._ends[number][0] == node else self._lines[number][::-1]
            x, y = (line[min(int(_BENT_M / STEP_M), len(line) - 1)] - line[0]).tolist()
            length = max(float(np.hypot(x, y)), 1e-9)
            self._directions[number, node] = x / length, y / length
        return self._directions[number, node]

    def _clear_of(self, number: int, end: int, other: int) -> float:
        """How far from its end a street, with its full width, leaves the carriageway of another."""
        if (number, end, other) not in self._reach:
            wide = self._wide(number, end)
            rows = rows_beside(wide, self._lines[other], self._widths[other] / 2 + _KERB_M)
            self._reach[number, end, other] = STEP_M * rows
        return self._reach[number, end, other]

    def _wide(self, number: int, end: int) -> np.ndarray:
        """(n, 3, 2) points on the right edge, in the middle and on the left edge of a street, from one of its ends."""
        if (number, end) not in self._ends_wide:
            line = self._lines[number] if end == 0 else self._lines[number][::-1]
            line = line[: int(_SEARCH_M / STEP_M)]
            along = np.gradient(line, axis=0)
            along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
            side = self._widths[number] / 2 * np.column_stack([-along[:, 1], along[:, 0]])
            self._ends_wide[number, end] = np.stack([line - side, line, line + side], axis=1)
        return self._ends_wide[number, end]

    def merge(self) -> bool:
        """Take out streets without room, the tightest at each junction first; False where all have room."""
        touching = self._touching()
        setbacks = {
            int(n): [self._setback(int(n), end, touching) for end in (0, 1)] for n in np.flatnonzero(self._kept)
        }
        room = {
            number: self._lengths[number] - sum(setback for setback, _ in ends) for number, ends in setbacks.items()
        }
        tight = sorted((number for number in room if room[number] < _SHORTEST_SECTION_M), key=lambda n: (room[n], n))
        changed: set[int] = set()
        for number in tight:
            junctions = {self._junction[end] for end in self._ends[number]}
            # What has been merged gives its neighbours other setbacks: they wait for the next round.
            if junctions & changed:
                continue
            changed |= junctions
            self._kept[number] = False
            if any(dead_end for _, dead_end in setbacks[number]):
                self._dropped[number] = True
            else:
                self._junction.union(*self._ends[number])
        return bool(tight)

    def sections(self) -> list[Section]:
        """What is left."""
        touching = self._touching()
        out = []
        for number in (n for n, kept in enumerate(self._kept) if kept):
            ends = [self._setback(number, end, touching) for end in (0, 1)]
            a, b = (self._junction[end] for end in self._ends[number])
            out.append(
                Section(
                    line=self._lines[number],
                    width=self._widths[number],
                    junctions=(a, b),
                    setbacks=(ends[0][0], ends[1][0]),
                    dead_ends=(ends[0][1], ends[1][1]),
                )
            )
        return out
