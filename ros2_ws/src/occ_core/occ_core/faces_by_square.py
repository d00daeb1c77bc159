"""Which faces of a mesh are near a place, seen from above, without a look at all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class FacesBySquare:
    """Triangles by the squares of a plane that their bounds touch, so that what is near a place is found at once.

    vertices: (v, 3) metres; faces: (f, 3). side: of a square, metres. squares: (s, 2) those that are touched,
    ascending; first: (s + 1,) where the faces of each begin in members.
    """

    vertices: np.ndarray
    faces: np.ndarray
    side: float
    squares: np.ndarray
    first: np.ndarray
    members: np.ndarray

    @classmethod
    def of(cls, vertices: np.ndarray, faces: np.ndarray, side: float) -> FacesBySquare:
        """Of a mesh; the square (0, 0) begins at the origin."""
        low, high = (np.floor(bound / side).astype(np.int32) for bound in plane_bounds(vertices, faces))
        span = high - low
        squares, members = [np.zeros((0, 2), np.int32)], [np.zeros(0, np.int32)]
        wide = np.arange(len(faces), dtype=np.int32)
        for i in range(int(span[:, 0].max(initial=-1)) + 1):
            wide = wide[span[wide, 0] >= i]
            long = wide
            for j in range(int(span[wide, 1].max(initial=-1)) + 1):
                long = long[span[long, 1] >= j]
                squares.append(low[long] + np.array([i, j], np.int32))
                members.append(long)
        square, member = np.concatenate(squares), np.concatenate(members)
        order = np.lexsort((member, square[:, 1], square[:, 0]))
        square, member = square[order], member[order]
        new = np.ones(len(square), dtype=bool)
        new[1:] = (square[1:] != square[:-1]).any(axis=1)
        first = np.append(np.flatnonzero(new), len(square))
        return cls(vertices, faces, side, square[new], first, member)

    @cached_property
    def _number(self) -> dict[tuple[int, int], int]:
        return {(i, j): number for number, (i, j) in enumerate(self.squares.tolist())}

    def within(self, i: int, j: int) -> np.ndarray:
        """Indices of the faces that touch one square, ascending."""
        number = self._number.get((i, j))
        return self.members[:0] if number is None else self.members[self.first[number] : self.first[number + 1]]

    def near(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Indices of the faces in squares that a rectangle touches, ascending. low, high: (2,) metres."""
        begin, end = (np.floor(bound / self.side) for bound in (low, high))
        inside = np.flatnonzero(((self.squares >= begin) & (self.squares <= end)).all(axis=1))
        found = [self.members[self.first[s] : self.first[s + 1]] for s in inside]
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int32)

    def triangles(self, which: np.ndarray) -> np.ndarray:
        """(n, 3, 3) metres, of faces by their indices."""
        return self.vertices[self.faces[which]]


def plane_bounds(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest x and y of faces, (f, 2) each."""
    of_axis = [vertices[:, axis][faces] for axis in (0, 1)]
    low = np.column_stack([values.min(axis=1) for values in of_axis])
    return low, np.column_stack([values.max(axis=1) for values in of_axis])
