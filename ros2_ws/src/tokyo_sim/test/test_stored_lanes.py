"""The lane graph that a city's folder keeps."""

from __future__ import annotations

import shutil
from dataclasses import fields

import numpy as np
import pytest
import shapely

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from tokyo_sim.raster import Raster, closed, groups_apart, thinned
from tokyo_sim.traffic.lane_graph import LaneGraph
from tokyo_sim.traffic.lanes import street_network
from tokyo_sim.traffic.shapes import boxes_meet
from tokyo_sim.traffic.stored import LANES_FILE, lane_graph


def same(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    return a.equals_exact(b, 0.0) if hasattr(a, "equals_exact") else a == b and type(a) is type(b)


def assert_same_graph(a: LaneGraph, b: LaneGraph) -> None:
    assert a.conflicts == b.conflicts
    for rows, others in ((a.lanes, b.lanes), (a.movements, b.movements), (a.sections, b.sections)):
        assert len(rows) == len(others)
        for row, other in zip(rows, others, strict=True):
            assert all(same(getattr(row, f.name), getattr(other, f.name)) for f in fields(row))
    if a.ground is not None:
        assert (a.ground.road == b.ground.road).all() and (a.ground.building == b.ground.building).all()


@pytest.fixture
def crossroads(tmp_path, city, sheet):
    """A folder with a city of four streets, and the city."""
    roads = [sheet(-150, 150, at - 5, at + 5) for at in (-60, 60)] + [
        sheet(at - 5, at + 5, -150, 150) for at in (-60, 60)
    ]
    world = city((Semantic.ROAD, np.concatenate(roads)))
    world.save(tmp_path)
    return tmp_path, world


def test_a_graph_that_was_kept_is_the_one_that_was_laid(crossroads):
    folder, world = crossroads
    laid = LaneGraph.of(world, street_network(world))
    assert laid.lanes and laid.movements and any(laid.conflicts)
    assert_same_graph(lane_graph(folder, world), laid)
    kept = (folder / LANES_FILE).stat().st_mtime_ns
    assert_same_graph(lane_graph(folder, CityMap.load(folder)), laid)
    assert (folder / LANES_FILE).stat().st_mtime_ns == kept


def test_a_city_without_roads_has_an_empty_graph_each_time(tmp_path, city, sheet):
    meadow = city((Semantic.TERRAIN, sheet(-50, 50, -50, 50)))
    for _ in range(2):
        assert lane_graph(tmp_path, meadow) == LaneGraph()


@pytest.mark.parametrize("damage", ["of another city", "cut", "empty", "no archive"])
def test_what_does_not_fit_is_laid_anew(crossroads, tmp_path_factory, city, sheet, damage):
    folder, world = crossroads
    laid = lane_graph(folder, world)
    path = folder / LANES_FILE
    if damage == "of another city":
        other = tmp_path_factory.mktemp("other")
        lane_graph(other, city((Semantic.ROAD, sheet(-100, 100, -4, 4))))
        shutil.copy(other / LANES_FILE, path)
    else:
        path.write_bytes({"cut": path.read_bytes()[:-400], "empty": b"", "no archive": b"lanes"}[damage])
    bad = path.read_bytes()
    assert_same_graph(lane_graph(folder, world), laid)
    assert path.read_bytes() != bad


def test_a_folder_that_takes_no_file_costs_time_only(crossroads):
    folder, world = crossroads
    missing = folder / "missing"
    assert_same_graph(lane_graph(missing, world), LaneGraph.of(world, street_network(world)))
    assert not missing.exists()


def test_streets_of_squares_that_lie_apart_take_no_raster_over_all_of_them(city, sheet, monkeypatch):
    near = [sheet(-150, 150, at - 5, at + 5) for at in (-60, 60)] + [
        sheet(at - 5, at + 5, -150, 150) for at in (-60, 60)
    ]
    here = np.concatenate(near)
    there = sheet(20_000, 20_100, 30_000, 30_010)
    alone, both = city((Semantic.ROAD, here)), city((Semantic.ROAD, np.concatenate([here, there])))
    largest = 0
    highest = Raster.highest

    def seen(raster, triangles):
        nonlocal largest
        largest = max(largest, raster.shape[0] * raster.shape[1])
        return highest(raster, triangles)

    monkeypatch.setattr(Raster, "highest", seen)
    expected = LaneGraph.of(alone, street_network(alone))
    assert_same_graph(LaneGraph.of(both, street_network(both)), expected)
    assert largest < 1e6


def test_roads_in_groups_are_as_thin_as_all_of_them_at_once(sheet):
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 700, (60, 2))
    sizes = rng.uniform(4, 60, (60, 2))
    boxes = [sheet(x, x + width, y, y + height) for (x, y), (width, height) in zip(corners, sizes, strict=True)]
    roads = np.concatenate(boxes).astype(np.float32)
    groups = groups_apart(roads, 16.0)
    assert len(groups) > 3 and sum(map(len, groups)) == len(roads)
    whole = Raster.covering(roads, 0.5, margin=2.0)
    thin = np.zeros(whole.shape, dtype=bool)
    for group in groups:
        own = Raster.covering(group, 0.5, margin=2.0)
        x, y = np.round((own.lower - whole.lower) / 0.5).astype(int)
        thin[x : x + own.shape[0], y : y + own.shape[1]] |= thinned(closed(own.covered(group), 2))
    assert (thin == thinned(closed(whole.covered(roads), 2))).all()


def test_boxes_meet_areas_where_shapely_says_so():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        turns = rng.uniform(0, 2 * np.pi, 2)
        bent = shapely.LineString(np.cumsum([(0, 0), *(4 * np.column_stack([np.cos(turns), np.sin(turns)]))], axis=0))
        areas = [shapely.buffer(bent, 1.2, cap_style="flat"), shapely.box(0, 0, 9, 9) - shapely.box(2, 2, 7, 7)]
        areas = shapely.transform(areas, lambda xy: xy + rng.uniform(-4, 4, 2))
        rings, of_ring = shapely.get_rings(areas, return_index=True)
        points, of_point = shapely.get_coordinates(rings, return_index=True)
        first = np.searchsorted(of_point, np.arange(len(rings) + 1))
        forward = np.array([np.cos(turns[0]), np.sin(turns[0])])
        aside = np.array([-forward[1], forward[0]]) * rng.uniform(0.2, 1.5)
        forward = forward * rng.uniform(0.2, 3)
        box = rng.uniform(-5, 5, 2) + np.array([forward + aside, aside - forward, -aside - forward, forward - aside])
        skipped = rng.random(2) < 0.3
        expected = (shapely.intersects(shapely.polygons(box), areas) & ~skipped).any()
        assert boxes_meet(box[None], points, first, of_ring, shapely.bounds(areas), skipped) == expected
        hits += expected
    assert 30 < hits < 170


def test_a_large_raster_is_drawn_and_thinned_in_strips_as_at_once(sheet, monkeypatch):
    rng = np.random.default_rng(8)
    corners, sizes = rng.uniform(0, 500, (120, 2)), rng.uniform(3, 50, (120, 2))
    boxes = [sheet(x, x + width, y, y + height) for (x, y), (width, height) in zip(corners, sizes, strict=True)]
    triangles = np.concatenate(boxes)
    triangles[:, :, :2] = triangles[:, :, :2] @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    raster = Raster.covering(triangles, 0.5, margin=2.0)
    mask = raster.covered(triangles)
    line = thinned(mask)
    monkeypatch.setattr("tokyo_sim.raster._CELLS_AT_A_TIME", 1 << 17)
    assert (raster.covered(triangles) == mask).all() and (thinned(mask) == line).all()
