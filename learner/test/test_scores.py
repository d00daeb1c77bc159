"""What evaluation counts: things and their numbers, collisions, thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.classes import NUM_CLASSES, Semantic
from occ_core.grid import VoxelGrid
from occworld.calibration import best_thresholds
from occworld.collisions import CollisionScores, hits
from occworld.instances import PanopticScores, Segment, followed_segments, true_segments
from occworld.packed import SparseFrame
from occworld.picture import beside, from_above

GRID = VoxelGrid((-8.0, -8.0, -2.0), (8.0, 8.0, 4.0), (0.5, 0.5, 1.0))


def with_car(x: int, semantic: Semantic = Semantic.CAR) -> np.ndarray:
    classes = np.zeros(GRID.shape, np.uint8)
    classes[x : x + 4, 10:13, 2] = semantic
    return classes


def test_a_thing_keeps_its_number_while_the_ego_drives() -> None:
    # It stands still in the world, and comes 1 m nearer in each frame as the ego drives.
    grids = [with_car(20 - 2 * step) for step in range(3)]
    path = np.array([[1.0 * step, 0, 0, 0] for step in range(3)])
    frames = followed_segments(GRID, grids, path)
    assert [[s.instance for s in frame] for frame in frames] == [[1], [1], [1]]
    jump = followed_segments(GRID, [with_car(0), with_car(26)], np.zeros((2, 4)))
    assert [frame[0].instance for frame in jump] == [1, 2]


def test_true_things_are_the_recorded_instances() -> None:
    classes = with_car(3) + with_car(20, Semantic.TRUCK_BUS)
    instances = (with_car(3) > 0) * 7 + (with_car(20) > 0) * 9
    segments = true_segments(SparseFrame.from_dense(classes, instances.astype(np.uint16)))
    assert [(s.instance, s.semantic, len(s.voxels)) for s in segments] == [(7, 9, 12), (9, 10, 12)]


def segment(instance: int, start: int, semantic: int = 9) -> Segment:
    return Segment(instance, semantic, np.arange(start, start + 10))


def test_panoptic_quality_of_known_cases() -> None:
    scores = PanopticScores()
    scores.begin_window()
    scores.add([segment(1, 0)], [segment(5, 2)])  # 8 of 12 voxels in common
    assert scores.quality() == pytest.approx(8 / 12)
    scores.add([segment(2, 0)], [segment(5, 0)])  # the same thing under another number is wrong
    assert scores.quality() == pytest.approx((8 / 12) / (1 + 1))
    scores.begin_window()
    scores.add([segment(2, 0)], [segment(5, 0)])  # in another window it may bear it
    scores.add([segment(2, 0, semantic=10)], [])
    assert scores.quality() == pytest.approx((8 / 12 + 1) / (2 + 3 / 2))
    assert PanopticScores().quality() is None


@pytest.mark.parametrize(("semantic", "expected"), [(Semantic.CAR, True), (Semantic.ROAD, False)])
def test_only_obstacles_at_the_height_of_the_vehicle_are_hit(semantic: Semantic, expected: bool) -> None:
    truth = np.zeros(GRID.shape, np.uint8)
    truth[16, 16, 2] = semantic  # around (0.25, 0.25), from 0 to 1 m
    here = np.zeros(4)
    assert hits(GRID, truth, here, 0.3) is expected
    assert not hits(GRID, truth, here, 1.5) and not hits(GRID, truth, here, 99.0)
    assert not hits(GRID, truth, np.array([2.0, 0, 0, 0]), 0.3)


def test_collisions_are_counted_from_the_first_on() -> None:
    scores = CollisionScores(0.5)
    truths = [np.zeros(GRID.shape, np.uint8) for _ in range(6)]
    truths[2][16, 16, 2] = Semantic.BUILDING
    still = np.zeros((6, 4))
    scores.add(GRID, truths, still, still, np.full(6, 0.3))
    scores.add(GRID, truths, still + [3.0, 0, 0, 0], still, np.full(6, 0.3))
    assert scores.report() == {"collision_1s": 0.0, "collision_2s": 0.5, "collision_3s": 0.5}


def test_the_threshold_is_where_iou_is_largest() -> None:
    edges = np.linspace(0.0, 1.0, 5)
    said, right = np.zeros((1, NUM_CLASSES, 4), int), np.zeros((1, NUM_CLASSES, 4), int)
    there = np.zeros((1, NUM_CLASSES), int)
    # Of building: 300 sure voxels all right, 400 at a half of which half are right, 1000 doubtful, a tenth right.
    said[0, 1], right[0, 1], there[0, 1] = [5000, 1000, 400, 300], [0, 100, 200, 300], 1000
    said[0, 9], right[0, 9], there[0, 9] = [5, 5, 5, 5], [5, 5, 5, 5], 20
    found = best_thresholds(said, right, there, edges)[0]
    # IoU: 0.30 from the sure ones, 500 / 1200 with those at a half, 600 / 2100 with the next.
    assert found[1] == 0.5 and found[9] == 0.5 and found[2] == 0.5
    right[0, 1, 1] = 900
    assert best_thresholds(said, right, there + 900, edges)[0, 1] == 0.25


def test_pictures_show_what_is_on_top() -> None:
    classes = np.zeros(GRID.shape, np.uint8)
    classes[0, 0, 0], classes[0, 0, 5] = Semantic.ROAD, Semantic.VEGETATION
    picture = from_above(classes)
    assert picture.shape == (32, 32, 3) and (picture[:-1, :-1] == 255).all()
    assert picture[-1, -1, 1] > picture[-1, -1, 0] and picture[-1, -1, 1] > picture[-1, -1, 2]
    assert beside([classes] * 3, [classes] * 3).shape == (72, 108, 3)
