"""City objects that several files have: two wards that share a square, or two versions of a tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SAME_M, _EQUAL_M = 0.5, 0.01  # wards measure by themselves
_SAME_SHARE = 0.9


@dataclass(frozen=True)
class Candidates:
    """The objects of a tile. ids: gml:id of each. boxes: (o, 2, 3) lowest and highest corners, metres.

    lods: (o,). feature: folder of `udx`. rank: the higher, the rather it is kept.
    """

    ids: np.ndarray
    boxes: np.ndarray
    lods: np.ndarray
    feature: str
    rank: tuple[int, int]


def repeated(tiles: list[Candidates]) -> list[dict[int, int]]:
    """For each tile its objects that another tile has as well and better: their index -> number of that tile.

    An object is the same with the same gml:id and in the same place; or of the same class and as large in the same
    place, to half a metre for buildings. The better one has more detail, else its tile has the higher rank.
    """
    from scipy.spatial import cKDTree  # takes a moment to load

    owner = np.concatenate([np.full(len(tile.ids), number) for number, tile in enumerate(tiles)])
    index = np.concatenate([np.arange(len(tile.ids)) for tile in tiles])
    boxes = np.concatenate([tile.boxes for tile in tiles])
    ids = np.concatenate([tile.ids for tile in tiles])
    lods = np.concatenate([tile.lods for tile in tiles])
    feature = np.array([tile.feature for tile in tiles])[owner]
    found: list[dict[int, int]] = [{} for _ in tiles]
    middles = boxes.mean(axis=1)
    pairs = cKDTree(middles).query_pairs(2 * _SAME_M, output_type="ndarray")
    pairs = np.concatenate([pairs, _of_one_id(ids)])
    pairs = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]]
    if not len(pairs):
        return found
    a, b = pairs.T
    share = _shared(boxes[a], boxes[b])
    apart = np.abs(boxes[a] - boxes[b]).max(axis=(1, 2))
    near = (apart < _EQUAL_M) | ((feature[a] == "bldg") & (apart < _SAME_M) & (share > _SAME_SHARE))
    same = ((ids[a] == ids[b]) & (share > 0.5)) | ((feature[a] == feature[b]) & near)
    for one, two in sorted(map(tuple, np.sort(pairs[same], axis=1).tolist())):
        best, other = sorted((one, two), key=lambda n: (lods[n], tiles[owner[n]].rank), reverse=True)
        if int(index[best]) not in found[owner[best]]:
            found[owner[other]].setdefault(int(index[other]), int(owner[best]))
    return found


def _of_one_id(ids: np.ndarray) -> np.ndarray:
    """(n, 2) indices of neighbours among objects with the same id."""
    order = np.argsort(ids, kind="stable")
    equal = ids[order][1:] == ids[order][:-1]
    return np.column_stack([order[:-1][equal], order[1:][equal]])


def _shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) share of the area of two boxes (n, 2, 3), seen from above, that both have."""
    span = np.minimum(a[:, 1], b[:, 1])[:, :2] - np.maximum(a[:, 0], b[:, 0])[:, :2]
    both = np.clip(span, 0, None).prod(axis=1)
    either = (a[:, 1] - a[:, 0])[:, :2].prod(axis=1) + (b[:, 1] - b[:, 0])[:, :2].prod(axis=1) - both
    return both / np.maximum(either, 1e-9)
