"""Boxes instead of voxels: the same cells, fewer of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from occworld_infer.box_cover import LONGEST, BoxCover, merge
from occworld_infer.lattice import Voxels


def voxels(labels: np.ndarray, lower: tuple[int, int, int] = (0, 0, 0)) -> Voxels:
    cells = np.argwhere(labels)
    return Voxels((cells + lower).astype(np.int32), labels[tuple(cells.T)])


def painted(boxes: BoxCover, lower: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the cells in boxes, and in how many boxes each cell is."""
    labels, times = np.zeros(shape, np.uint8), np.zeros(shape, int)
    for first, size, label in zip(boxes.lower - lower, boxes.size, boxes.labels, strict=True):
        part = tuple(slice(a, a + b) for a, b in zip(first, size, strict=True))
        labels[part] = label
        times[part] += 1
    return labels, times


@given(
    arrays(np.uint8, st.tuples(*[st.integers(1, 9)] * 3), elements=st.sampled_from([0, 1, 1, 1, 2])),
    st.tuples(*[st.integers(-1000, 1000)] * 3),
)
def test_boxes_cover_exactly_the_voxels_each_once(labels: np.ndarray, lower: tuple[int, int, int]) -> None:
    boxes = merge(voxels(labels, lower))
    found, times = painted(boxes, np.array(lower), labels.shape)
    assert np.array_equal(found, labels)
    assert np.array_equal(times > 0, labels > 0) and times.max(initial=0) <= 1


@given(arrays(np.uint8, (12, 12, 12), elements=st.sampled_from([1, 1, 1, 2])))
def test_sizes_are_powers_of_two_so_that_few_markers_are_needed(labels: np.ndarray) -> None:
    assert set(np.unique(merge(voxels(labels)).size)) <= {1, 2, 4, LONGEST}


def test_a_wall_is_a_few_boxes() -> None:
    wall = np.ones((64, 1, 8), np.uint8)
    assert len(merge(voxels(wall))) == 64 // LONGEST


def test_nothing_gives_no_box() -> None:
    assert len(merge(Voxels.empty())) == 0
