"""The lane graph that a city's folder keeps."""

from __future__ import annotations

import shutil
import tracemalloc
from dataclasses import fields

import numpy as np
import pytest
import shapely
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.faces_by_square import FacesBySquare
from tokyo_sim.raster import Raster, closed
from tokyo_sim.traffic.lane_graph import LaneGraph
from tokyo_sim.traffic.lanes import street_network
from tokyo_sim.traffic.road_rasters import BUILDING, DRIVABLE, ROAD, SIDEWALK, RoadRasters
from tokyo_sim.traffic.shapes import boxes_meet
from tokyo_sim.traffic.skeleton import skeleton, thinned
from tokyo_sim.traffic.stored import LANES_FILE, WALKWAYS_FILE, lane_graph, walkways
from tokyo_sim.traffic.walkways import Walkways


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
        for (rows, cover), (others, expected) in zip(a.ground.strips(), b.ground.strips(), strict=True):
            assert rows == others and (cover == expected).all()


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


def assert_same_walkways(a: Walkways, b: Walkways) -> None:
    assert a.onward == b.onward and a.crossed == b.crossed and np.array_equal(a.mask, b.mask)
    assert len(a.ways) == len(b.ways)
    for way, other in zip(a.ways, b.ways, strict=True):
        assert all(same(getattr(way, f.name), getattr(other, f.name)) for f in fields(way))


def test_walkways_that_were_kept_are_those_that_were_laid(crossroads):
    folder, world = crossroads
    graph = lane_graph(folder, world)
    laid = Walkways.of(graph)
    assert laid.ways and laid.mask.any() and any(laid.crossed)
    assert_same_walkways(walkways(folder, world, graph), laid)
    kept = (folder / WALKWAYS_FILE).stat().st_mtime_ns
    assert_same_walkways(walkways(folder, CityMap.load(folder), graph), laid)
    assert (folder / WALKWAYS_FILE).stat().st_mtime_ns == kept
    (folder / WALKWAYS_FILE).write_bytes(b"no archive")
    assert_same_walkways(walkways(folder, world, graph), laid)


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


def test_lanes_of_a_wide_city_are_laid_without_a_raster_over_it(city, sheet):
    """A raster over these streets has 64 million cells, a byte each for every mask of it."""
    half, breadth = 2000.0, 5.0
    at = np.linspace(-half + breadth, half - breadth, 5)
    along = [sheet(-half, half, y - breadth, y + breadth) for y in at]
    across = [sheet(x - breadth, x + breadth, -half, half) for x in at]
    world = city((Semantic.ROAD, np.concatenate(along + across)))
    tracemalloc.start()
    graph = LaneGraph.of(world, street_network(world))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(graph.sections) > 30 and graph.ground.raster.shape[0] > 8000
    assert peak < 60e6


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


def jumble(sheet, seed: int, count: int, extent: float, largest: float) -> np.ndarray:
    """(t, 3, 3) float32 rectangles that lie over each other anyhow, none along the raster."""
    rng = np.random.default_rng(seed)
    corners, sizes = rng.uniform(0, extent, (count, 2)), rng.uniform(3, largest, (count, 2))
    boxes = [sheet(x, x + width, y, y + height) for (x, y), (width, height) in zip(corners, sizes, strict=True)]
    triangles = np.concatenate(boxes)
    triangles[:, :, :2] = triangles[:, :, :2] @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    return triangles.astype(np.float32)


@pytest.mark.parametrize(("count", "largest"), [(120, 50.0), (60, 20.0), (12, 160.0)])
def test_a_skeleton_made_in_windows_is_that_of_all_roads_at_once(sheet, monkeypatch, count, largest):
    triangles = jumble(sheet, count, count, 500.0, largest)
    raster = Raster.covering(triangles, 0.5, margin=2.0)
    mask = closed(raster.covered(triangles), 2)
    expected = np.argwhere(thinned(mask, np.zeros(2, int), np.zeros(2, int))[0])
    outside = np.argwhere(~np.pad(mask, 1)) - 1
    squares = np.rint(cKDTree(outside).query(expected)[0] ** 2)
    roads = FacesBySquare.of(triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3), 40.0)
    for side, reach in ((1024, 96), (128, 48), (90, 20)):
        monkeypatch.setattr("tokyo_sim.traffic.skeleton._SIDE", side)
        monkeypatch.setattr("tokyo_sim.traffic.skeleton._REACH", reach)
        cells, found = skeleton(roads, raster)
        assert np.array_equal(cells, expected) and np.array_equal(found, squares)


def test_ground_drawn_in_blocks_is_that_drawn_at_once(city, sheet, monkeypatch):
    kinds = (Semantic.ROAD, Semantic.SIDEWALK, Semantic.BUILDING)
    parts = {kind: jumble(sheet, seed, 50, 180.0, 30.0) for seed, kind in enumerate(kinds)}
    town = city(*parts.items())
    raster = RoadRasters.of(town).raster
    road, sidewalk, building = (raster.covered(parts[kind]) for kind in kinds)
    road = closed(road, 1) & ~sidewalk
    drivable = binary_dilation(road) & ~building
    monkeypatch.setattr("tokyo_sim.traffic.road_rasters._BLOCK", 37)
    monkeypatch.setattr("tokyo_sim.traffic.road_rasters._KEPT", 3)
    ground = RoadRasters.of(town)
    cells = np.random.default_rng(4).integers(-5, np.array(raster.shape) + 5, (4000, 2))
    inside = np.clip(cells, 0, np.array(raster.shape) - 1)
    for cover, mask in zip((ROAD, SIDEWALK, BUILDING, DRIVABLE), (road, sidewalk, building, drivable), strict=True):
        drawn = np.concatenate([strip & cover > 0 for _, strip in ground.strips()])
        assert mask.any() and (drawn == mask).all()
        assert (ground.on(cover, raster.xy(cells)) == mask[tuple(inside.T)]).all()
        piece = ground.part(np.array([30, 70]), np.array([115, 80]))
        assert ((piece & cover > 0) == mask[30:115, 70:80]).all()
