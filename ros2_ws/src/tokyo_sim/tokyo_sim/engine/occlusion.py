"""Which boxes a view can't see because large faces of the city stand before them: as much is not drawn.

A view is divided into cells. A face hides what is behind it in the cells that it covers whole, so that what is left out
changes no pixel, however fine the image is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.loops import compiled

CELLS = (160, 90)
"""Across and down a view."""
_LEAST_M2 = 6.0  # smaller faces cover few whole cells
_LEAST_CELLS = 6.0
_FLAT_M = 1e-3
_MARGIN = 0.02  # cells by which a face is taken for smaller than it is: OpenGL's corners are rounded to 1/256 pixel
_APART = 1.0 + 1e-4  # so many times as far as a face is what it hides: it never hides itself, whatever is rounded
_NOT_DRAWN_AFAR = (Semantic.VEGETATION, Semantic.FURNITURE)


@dataclass(frozen=True)
class Occluders:
    """Convex faces: corners (n, 4, 3) float64, metres, map, in order; a triangle's last corner comes twice.

    normals: (n, 3), zero for faces that are seen from both sides; the others hide nothing from behind. areas: (n,) m2.
    """

    corners: np.ndarray
    normals: np.ndarray
    areas: np.ndarray

    @classmethod
    def of(cls, city: CityMap, sides: tuple[np.ndarray, np.ndarray]) -> Occluders:
        """The large faces of a city: two triangles that make a convex quadrilateral are one. sides: of `one_sided`."""
        large = ~np.isin(city.classes, _NOT_DRAWN_AFAR)
        single, turned = sides
        triangles = city.triangles[large].astype(np.float64)
        turned, single = turned[large], single[large]
        triangles[turned] = triangles[turned, ::-1]
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        area = np.linalg.norm(normals, axis=1) / 2
        solid = area > 1e-6
        triangles, single, normals = triangles[solid], single[solid], normals[solid] / (2 * area[solid, None])
        corners, second = _quadrilaterals(triangles, single, normals)
        diagonals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
        areas = np.linalg.norm(diagonals, axis=1) / 2
        worth = ~second & (areas >= _LEAST_M2)
        return cls(corners[worth], np.where(single[worth, None], normals[worth], 0.0), areas[worth])

    def cover(self, projection: np.ndarray, eye: np.ndarray, near: float) -> Cover:
        """What these faces hide of a view.

        projection: (4, 4) clip matrix from map, its w the depth in metres. eye: (3,) in map. near: metres, of the near
        plane.
        """
        inverse = np.zeros(CELLS[::-1], np.float32)
        # A face of one square metre at one metre, seen straight on, covers so many cells.
        cells = np.linalg.norm(projection[0, :3]) * np.linalg.norm(projection[1, :3]) * CELLS[0] * CELLS[1] / 4
        _cover(
            self.corners, self.normals, self.areas * cells, np.ascontiguousarray(projection),
            np.asarray(eye, np.float64), near, inverse,
        )  # fmt: skip
        return Cover(near, inverse)


@dataclass(frozen=True)
class Cover:
    """near: metres, of the near plane. inverse: (rows, columns) of a view's cells, one over the depth behind which
    nothing is seen, 0 for no limit."""

    near: float
    inverse: np.ndarray


def _quadrilaterals(triangles: np.ndarray, single: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join triangles (n, 3, 3) in pairs along their longest common edges, where both are parts of one flat face.

    Returns corners (n, 4, 3) of each triangle's quadrilateral, and which triangles (n,) are in another's.
    """
    places, place = np.unique(np.round(triangles.reshape(-1, 3) * 1000).astype(np.int64), axis=0, return_inverse=True)
    place = place.reshape(-1, 3)
    ends = np.stack([place, np.roll(place, -1, axis=1)], axis=2).reshape(-1, 2)
    key = ends.min(axis=1) * len(places) + ends.max(axis=1)
    order = np.argsort(key, kind="stable")
    same = np.flatnonzero(key[order][1:] == key[order][:-1])
    one, two = order[same], order[same + 1]  # numbers of edges: 3 x triangle + corner
    length = np.linalg.norm(places[ends[one, 0]] - places[ends[one, 1]], axis=1)
    longest = np.argsort(-length, kind="stable")
    pairs = np.stack([one[longest], two[longest]], axis=1)
    return _joined(triangles, single, normals, pairs)


@compiled
def _joined(triangles, single, normals, pairs):
    """As `_quadrilaterals`; pairs: (m, 2) edges that lie on each other, in the order to try."""
    count = len(triangles)
    corners = np.empty((count, 4, 3))
    corners[:, :3] = triangles
    corners[:, 3] = triangles[:, 2]
    taken, second = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    for first, other in pairs:
        a, b = first // 3, other // 3
        if a == b or taken[a] or taken[b] or single[a] != single[b]:
            continue
        p, q = triangles[a, first % 3], triangles[a, (first + 1) % 3]
        apex, opposite = triangles[a, (first + 2) % 3], triangles[b, (other + 2) % 3]
        normal = normals[a]
        if abs(np.dot(normal, opposite - p)) > _FLAT_M or (single[a] and np.dot(normal, normals[b]) < 0):
            continue
        # p, opposite, q, apex goes round: convex where every turn is to the same side.
        ring = np.empty((4, 3))
        ring[0], ring[1], ring[2], ring[3] = p, opposite, q, apex
        convex = True
        for k in range(4):
            here, there = ring[(k + 1) % 4] - ring[k], ring[(k + 2) % 4] - ring[(k + 1) % 4]
            turn = (
                normal[0] * (here[1] * there[2] - here[2] * there[1])
                + normal[1] * (here[2] * there[0] - here[0] * there[2])
                + normal[2] * (here[0] * there[1] - here[1] * there[0])
            )
            convex = convex and turn > 0
        if convex:
            corners[a] = ring
            taken[a] = taken[b] = second[b] = True
    return corners, second


@compiled
def _cover(corners, normals, cells, projection, eye, near, depth):
    """Write into cells (rows, columns) the inverse of the depth behind which all is hidden; 0 where nothing hides.

    cells: (n,) that a face would cover at one metre. Faces that can't cover _LEAST_CELLS are passed over.
    """
    rows, columns = depth.shape
    clip, kept = np.empty((4, 3)), np.empty((8, 3))  # x, y and w; of clip space, z is not needed
    x, y, inverse = np.empty(8), np.empty(8), np.empty(8)
    for face in range(len(corners)):
        away, apart = 0.0, 0.0
        for k in range(3):
            middle = 0.5 * (corners[face, 0, k] + corners[face, 2, k]) - eye[k]
            away += normals[face, k] * middle
            apart += middle * middle
        if away > 0 or cells[face] < _LEAST_CELLS * apart:
            continue
        outside_left = outside_right = outside_top = outside_bottom = in_front = 0
        for c in range(4):
            for out, row in ((0, 0), (1, 1), (2, 3)):
                clip[c, out] = projection[row, 3]
                for k in range(3):
                    clip[c, out] += projection[row, k] * corners[face, c, k]
            w = clip[c, 2]
            outside_left += clip[c, 0] < -w
            outside_right += clip[c, 0] > w
            outside_bottom += clip[c, 1] < -w
            outside_top += clip[c, 1] > w
            in_front += w > near
        if in_front == 0 or outside_left == 4 or outside_right == 4 or outside_bottom == 4 or outside_top == 4:
            continue
        count = 0
        for c in range(4):  # what is nearer than the near plane is cut off: Sutherland and Hodgman, 1974
            following = (c + 1) % 4
            if clip[c, 2] >= near:
                kept[count] = clip[c]
                count += 1
            if (clip[c, 2] >= near) != (clip[following, 2] >= near):
                t = (near - clip[c, 2]) / (clip[following, 2] - clip[c, 2])
                for k in range(3):
                    kept[count, k] = clip[c, k] + t * (clip[following, k] - clip[c, k])
                count += 1
        area, lowest, highest = 0.0, np.inf, -np.inf
        for c in range(count):
            inverse[c] = 1 / kept[c, 2]
            x[c] = (kept[c, 0] * inverse[c] + 1) * 0.5 * columns
            y[c] = (kept[c, 1] * inverse[c] + 1) * 0.5 * rows
            lowest, highest = min(lowest, y[c]), max(highest, y[c])
        for c in range(count):
            following = (c + 1) % count
            area += x[c] * y[following] - x[following] * y[c]
        if abs(area) < 2.0:
            continue
        side = 1.0 if area > 0 else -1.0
        # The inverse of the depth is linear over the image: a plane through three corners that are far apart.
        best, i1, i2 = 0.0, 1, 2
        for c in range(1, count - 1):
            size = abs((x[c] - x[0]) * (y[c + 1] - y[0]) - (x[c + 1] - x[0]) * (y[c] - y[0]))
            if size > best:
                best, i1, i2 = size, c, c + 1
        if best < 1e-6:
            continue
        det = (x[i1] - x[0]) * (y[i2] - y[0]) - (x[i2] - x[0]) * (y[i1] - y[0])
        across = ((inverse[i1] - inverse[0]) * (y[i2] - y[0]) - (inverse[i2] - inverse[0]) * (y[i1] - y[0])) / det
        down = ((x[i1] - x[0]) * (inverse[i2] - inverse[0]) - (x[i2] - x[0]) * (inverse[i1] - inverse[0])) / det
        least = inverse[0]  # never taken for nearer than its farthest corner, whatever is lost in rounding
        for c in range(1, count):
            least = min(least, inverse[c])
        for row in range(max(0, int(np.ceil(lowest))), min(rows, int(np.floor(highest)))):
            left, right = 0.0, float(columns)
            for c in range(count):
                following = (c + 1) % count
                # Inside of an edge is where nx x + ny y >= offset.
                nx, ny = side * (y[c] - y[following]), side * (x[following] - x[c])
                length = np.sqrt(nx * nx + ny * ny)
                offset = nx * x[c] + ny * y[c] + _MARGIN * length
                rest = offset - min(ny * row, ny * (row + 1))
                if nx > 1e-9 * length:
                    left = max(left, rest / nx)
                elif nx < -1e-9 * length:
                    right = min(right, rest / nx)
                elif rest > 0:
                    right = -1.0
            first, last = int(np.ceil(left)), int(np.floor(right))
            for column in range(first, last):
                at_x = column - x[0] + (across < 0)
                at_y = row - y[0] + (down < 0)
                value = max(inverse[0] + across * at_x + down * at_y, least)
                if value > depth[row, column]:
                    depth[row, column] = value


@compiled
def behind(clip, near, inverse):
    """Is a box whose corners in clip space are (8, 4) behind what a `Cover` says, in all cells that it touches?"""
    rows, columns = inverse.shape
    nearest, x_low, x_high, y_low, y_high = np.inf, np.inf, -np.inf, np.inf, -np.inf
    for c in range(8):
        w = clip[c, 3]
        if w < near:
            return False
        nearest = min(nearest, w)
        x, y = (clip[c, 0] / w + 1) * 0.5 * columns, (clip[c, 1] / w + 1) * 0.5 * rows
        x_low, x_high, y_low, y_high = min(x_low, x), max(x_high, x), min(y_low, y), max(y_high, y)
    for row in range(max(0, int(np.floor(y_low - _MARGIN))), min(rows, int(np.ceil(y_high + _MARGIN)))):
        for column in range(max(0, int(np.floor(x_low - _MARGIN))), min(columns, int(np.ceil(x_high + _MARGIN)))):
            if inverse[row, column] * nearest <= _APART:
                return False
    return True
