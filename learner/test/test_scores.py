"""What evaluation counts: things and their numbers, collisions, thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.classes import Semantic
from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import SparseGrid
from occworld.collisions import CollisionScores, hits
from occworld.fast.thresholds import EDGES, Counts, best_thresholds, decided
from occworld.instances import PanopticScores, Segment, followed_segments, true_segments
from occworld.picture import beside, from_above
from occworld.scene import ForecastFrame

GRID = VoxelGrid((-8.0, -8.0, -2.0), (8.0, 8.0, 4.0), (0.5, 0.5, 1.0))


def with_car(x: int, semantic: Semantic = Semantic.CAR) -> np.ndarray:
    classes = np.zeros(GRID.shape, np.uint8)
    classes[x : x + 4, 10:13, 2] = semantic
    return classes


def test_a_thing_keeps_its_number_while_the_ego_drives() -> None:
    # It stands still in the world, and comes 1 m nearer in each frame as the ego drives.
    frames = [SparseGrid.from_dense(with_car(20 - 2 * step)) for step in range(3)]
    path = np.array([[1.0 * step, 0, 0, 0] for step in range(3)])
    followed = followed_segments(GRID, frames, path)
    assert [[s.instance for s in frame] for frame in followed] == [[1], [1], [1]]
    far = [SparseGrid.from_dense(with_car(0)), SparseGrid.from_dense(with_car(26))]
    jump = followed_segments(GRID, far, np.zeros((2, 4)))
    assert [frame[0].instance for frame in jump] == [1, 2]


def test_true_things_are_the_recorded_instances() -> None:
    classes = with_car(3) + with_car(20, Semantic.TRUCK_BUS)
    instances = (with_car(3) > 0) * 7 + (with_car(20) > 0) * 9
    segments = true_segments(SparseGrid.from_dense(classes, instances.astype(np.uint16)))
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


def counted(pairs: dict[float, list[tuple[int, int, int]]]) -> Counts:
    """Voxels by probability: (class said, class in truth, how many)."""
    counts = Counts.none()
    for probability, cases in pairs.items():
        for named, real, number in cases:
            frame = ForecastFrame.of_dense(
                np.full((number, 1, 1), named, np.uint8), np.full((number, 1, 1), probability, np.float16)
            )
            counts.add(frame, SparseGrid.from_dense(np.full((number, 1, 1), real, np.uint8)))
    return counts


def test_the_threshold_is_where_iou_is_largest() -> None:
    # IoU of buildings: 0.30 from the sure ones, 500 / 1200 with those at a half, 600 / 2100 with the next.
    pairs = {0.9: [(1, 1, 300)], 0.5: [(1, 1, 200), (1, 0, 200)], 0.25: [(1, 1, 100), (1, 0, 900)]}
    unsaid = Counts.none()
    unsaid.add(
        ForecastFrame.of_dense(np.zeros((400, 1, 1), np.uint8), np.zeros((400, 1, 1), np.float16)),
        SparseGrid.from_dense(np.ones((400, 1, 1), np.uint8)),
    )
    found = counted(pairs)
    found.there += unsaid.there
    threshold = best_thresholds(found)
    assert 0.25 < threshold[1] <= 0.5 and np.isclose(threshold[9], EDGES[np.searchsorted(EDGES, 0.5)])
    assert threshold[0] == threshold[1:].max(), "'empty' is never said and must not lower what is looked at"
    # Nearly all at a quarter right: then they belong in.
    likely = counted({**pairs, 0.25: [(1, 1, 900), (1, 0, 100)]})
    assert best_thresholds(likely)[1] <= 0.25


def test_a_wrong_class_on_what_is_occupied_still_counts_for_occupancy() -> None:
    # None of what is said to be road at 0.3 is road: worth saying where it is occupied, not where it is empty.
    hits = counted({0.9: [(2, 2, 300)], 0.3: [(2, 1, 600)]})
    misses = counted({0.9: [(2, 2, 300)], 0.3: [(2, 0, 600)]})
    misses.there[1] += 600
    assert best_thresholds(hits)[2] <= 0.3 < best_thresholds(misses)[2]


def test_pictures_show_what_is_on_top() -> None:
    classes = np.zeros(GRID.shape, np.uint8)
    classes[0, 0, 0], classes[0, 0, 5] = Semantic.ROAD, Semantic.VEGETATION
    picture = from_above(classes)
    assert picture.shape == (32, 32, 3) and (picture[:-1, :-1] == 255).all()
    assert picture[-1, -1, 1] > picture[-1, -1, 0] and picture[-1, -1, 1] > picture[-1, -1, 2]
    assert beside([classes] * 3, [classes] * 3).shape == (72, 108, 3)


@pytest.mark.parametrize("sure", [0.9, 0.3])
def test_a_frame_decides_by_the_iou_that_it_leads_to_expect(sure: float) -> None:
    """What is less sure stays out beside much that is surer, and comes in where there is nothing better."""
    generator = np.random.default_rng(0)
    probability = np.where(generator.random((50, 50, 8)) < 0.5, sure, 0.45 if sure > 0.5 else 0.14).astype(np.float16)
    likely, ones = probability.astype(float), np.ones(16, np.float32)
    frame = decided(ForecastFrame.of_dense(np.ones(probability.shape, np.uint8), probability), ones, ones)

    def expected(chosen: np.ndarray) -> float:
        hit = likely[chosen].sum()
        return hit / (chosen.sum() + likely.sum() - hit)

    best = max(expected(likely > least) for least in (0.0, sure - 0.05))
    assert expected(frame.classes > 0) == pytest.approx(best, abs=1e-6)
    assert (frame.probability == probability).all()


def test_a_frame_that_is_sure_of_nothing_still_says_its_best() -> None:
    probability = np.full((10, 10, 4), 0.12, np.float16)
    said = decided(ForecastFrame.of_dense(np.full((10, 10, 4), 3, np.uint8), probability), np.ones(16), np.ones(16))
    assert said.classes.all()
    nothing = ForecastFrame.of_dense(np.zeros((10, 10, 4), np.uint8), np.zeros((10, 10, 4), np.float16))
    assert not decided(nothing, np.ones(16), np.ones(16)).classes.any()
