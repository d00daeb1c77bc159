"""Trees as cameras see them: crowns are rounded, each of a green of its own; trunks are bark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from tokyo_sim.engine.winding import components, merged

_BARK = (104, 84, 66)
_TRUNK_M = 1.0  # across; whatever of a plant is narrower, and higher than wide, is a trunk
_SHADES = 0.16  # how much brighter or darker than the mean a crown may be
_YELLOW = 0.10  # how much less blue, and twice as much more red, a crown may have


@dataclass(frozen=True)
class Foliage:
    """Of the faces of a city, (f,) each. crown: of closed shells of leaves. bark: of trunks.

    Of the faces of crowns, (c, ...) float32. normals: (c, 3, 3), at each corner the mean of the faces that meet there.
    across: (c, 3, 2) metres along two axes that a face lies along. tint: (c, 3) to multiply a colour with, alike in a
    crown.
    """

    crown: np.ndarray
    bark: np.ndarray
    normals: np.ndarray
    across: np.ndarray
    tint: np.ndarray

    @classmethod
    def of(cls, city: CityMap, untextured: np.ndarray, sides: tuple[np.ndarray, np.ndarray]) -> Foliage:
        """untextured: (f,) bool. sides: of `one_sided`; what is seen from both sides is no crown."""
        single, turned = sides
        plants = np.flatnonzero((city.classes == Semantic.VEGETATION) & single & untextured)
        crown, bark = np.zeros((2, len(city.classes)), bool)
        if not len(plants):
            nothing = (np.zeros((0, *shape), np.float32) for shape in ((3, 3), (3, 2), (3,)))
            return cls(crown, bark, *nothing)
        corners = city.triangles[plants]
        used, vertex = np.unique(city.faces[plants], return_inverse=True)
        place = merged(city.vertices[used])[vertex.reshape(-1, 3)]
        for columns in (corners, place):
            columns[turned[plants]] = columns[turned[plants], ::-1]
        parts, part = components(place)
        trunk = _trunks(corners, parts, part)[part]
        crown[plants[~trunk]], bark[plants[trunk]] = True, True
        rng = np.random.default_rng(0)
        shade = 1 + rng.uniform(-_SHADES, _SHADES, (parts, 1))
        hue = rng.uniform(-0.2 * _YELLOW, _YELLOW, parts)
        tint = shade * np.stack([1 + 2 * hue, np.ones(parts), 1 - hue], axis=1)
        leaves = corners[~trunk]
        return cls(
            crown, bark, _rounded(corners, place)[~trunk], _across(leaves), tint[part][~trunk].astype(np.float32)
        )

    def paint(self, rows: np.ndarray) -> None:
        """Put normals, colours and, as u and v, metres across a face into the `meshes.shaded` rows of a whole city."""
        faces = rows.reshape(-1, 3, rows.shape[1])
        faces[self.crown, :, 3:6] = self.normals
        faces[self.crown, :, 6:9] = np.minimum(faces[self.crown, :, 6:9] * self.tint[:, None], 1.0)
        faces[self.crown, :, 10:12] = self.across
        faces[self.bark, :, 6:9] = np.array(_BARK) / 255


def _trunks(corners: np.ndarray, parts: int, part: np.ndarray) -> np.ndarray:
    """(parts,) bool: which parts of plants are narrow and upright. corners: (n, 3, 3) metres; part: (n,) of each."""
    order = np.argsort(part, kind="stable")
    starts = np.searchsorted(part[order], np.arange(parts))
    low = np.minimum.reduceat(corners.min(axis=1)[order], starts)
    high = np.maximum.reduceat(corners.max(axis=1)[order], starts)
    across = (high - low)[:, :2].max(axis=1)
    return (across < _TRUNK_M) & ((high - low)[:, 2] > 2 * across)


def _across(corners: np.ndarray) -> np.ndarray:
    """(n, 3, 2) float32: corners seen along the axis that a face looks along most. corners: (n, 3, 3) metres."""
    looks = np.abs(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])).argmax(axis=1)
    others = np.array([[1, 2], [0, 2], [0, 1]])[looks]
    return np.take_along_axis(corners, others[:, None].repeat(3, axis=1), axis=2).astype(np.float32)


def _rounded(corners: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(n, 3, 3) float32 normals at the corners of faces: of all faces that meet at a place, by their areas."""
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = np.stack([np.bincount(place.ravel(), np.repeat(face[:, axis], 3)) for axis in range(3)], axis=1)
    sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return sums[place].astype(np.float32)
