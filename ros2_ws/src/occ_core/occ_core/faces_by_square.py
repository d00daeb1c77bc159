"""Which faces of a mesh are near a place, seen from above, without a look at all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from occ_core.loops import compiled


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
        square, member = _touched(*_spans(vertices, faces, vertices.dtype.type(side)))
        if len(square):
            # By y, then by x: a sort that keeps the order of equals, by one digit at a time.
            for axis in (1, 0):
                order = _order(square[:, axis] - square[:, axis].min())
                square, member = square[order], member[order]
        new = np.ones(len(square), dtype=bool)
        new[1:] = (square[1:, 0] != square[:-1, 0]) | (square[1:, 1] != square[:-1, 1])
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
    low, high = np.empty((len(faces), 2), vertices.dtype), np.empty((len(faces), 2), vertices.dtype)
    for axis in (0, 1):
        low[:, axis], high[:, axis] = corner_ends(vertices[:, axis][faces])
    return low, high


def corner_ends(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest of each row of three, (n, 3), by columns: along the rows it takes ten times as long."""
    a, b, c = corners.T
    return np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)


@compiled
def _spans(vertices, faces, side):
    """First and last square of each face along both axes: (f, 2) int32 each. side: metres, of the vertices' type."""
    low, high = np.empty((len(faces), 2), np.int32), np.empty((len(faces), 2), np.int32)
    for f in range(len(faces)):
        for axis in range(2):
            a, b, c = vertices[faces[f, 0], axis], vertices[faces[f, 1], axis], vertices[faces[f, 2], axis]
            low[f, axis] = np.int32(np.floor(min(a, b, c) / side))
            high[f, axis] = np.int32(np.floor(max(a, b, c) / side))
    return low, high


@compiled
def _touched(low, high):
    """Every square of every face, (n, 2) int32, and whose each is, (n,), face by face. low, high: (f, 2) int32."""
    count = 0
    for f in range(len(low)):
        count += (high[f, 0] - low[f, 0] + 1) * (high[f, 1] - low[f, 1] + 1)
    squares, members = np.empty((count, 2), np.int32), np.empty(count, np.int32)
    n = 0
    for f in range(len(low)):
        for i in range(low[f, 0], high[f, 0] + 1):
            for j in range(low[f, 1], high[f, 1] + 1):
                squares[n, 0], squares[n, 1], members[n] = i, j, f
                n += 1
    return squares, members


@compiled
def _order(digits):
    """Indices that sort digits (n,), whole numbers from 0 on; equal ones stay in their order."""
    place = np.zeros(digits.max() + 2, np.int64)
    for digit in digits:
        place[digit + 1] += 1
    place = np.cumsum(place)
    order = np.empty(len(digits), np.int64)
    for n in range(len(digits)):
        order[place[digits[n]]] = n
        place[digits[n]] += 1
    return order
