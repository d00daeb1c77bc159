"""Streets are found from their surfaces; traffic keeps left, on the road, apart, and lets robots and walkers be."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from occ_core.actors import Actor
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from tokyo_sim.traffic.actor_types import VEHICLES, WALKER
from tokyo_sim.traffic.lane_graph import LaneGraph
from tokyo_sim.traffic.lanes import StreetNetwork, street_network
from tokyo_sim.traffic.traffic import Traffic

WIDTH = 9.0
SIDEWALK = 2.5
DRIVEN = (Semantic.CAR, Semantic.TRUCK_BUS, Semantic.BICYCLE)
NOBODY = np.zeros((0, 2))


@pytest.fixture(scope="module")
def plus(city, sheet):
    half = WIDTH / 2
    roads = [sheet(-150, 150, -half, half), sheet(-half, half, -150, -half), sheet(-half, half, half, 150)]
    return city((Semantic.ROAD, np.concatenate(roads)))


@pytest.fixture(scope="module")
def grid(city, sheet):
    return grid_of(city, sheet, WIDTH)


def grid_of(city, sheet, width: float):
    """Four crossing streets: a ring with arms, on which traffic can go round."""
    half = width / 2
    across = [sheet(-160, 160, y - half, y + half) for y in (-60, 60)]
    along = [sheet(x - half, x + half, -160, 160) for x in (-60, 60)]
    return city((Semantic.ROAD, np.concatenate(across + along)))


STREETS = (-120.0, -40.0, 40.0, 120.0)


@pytest.fixture(scope="module")
def town(city, sheet, box):
    """Four by four streets with sidewalks, and buildings in the blocks between them."""
    half, outer = WIDTH / 2, WIDTH / 2 + SIDEWALK
    roads = [sheet(-180, 180, y - half, y + half) for y in STREETS]
    roads += [sheet(x - half, x + half, -180, 180) for x in STREETS]
    edges = [-180 - outer, *STREETS, 180 + outer]
    blocks = [
        (x0 + outer, x1 - outer, y0 + outer, y1 - outer)
        for x0, x1 in zip(edges, edges[1:], strict=False)
        for y0, y1 in zip(edges, edges[1:], strict=False)
    ]
    walks = []
    for x0, x1, y0, y1 in blocks:
        w = SIDEWALK
        walks += [sheet(x0 - w, x1 + w, y0 - w, y0, 0.0), sheet(x0 - w, x1 + w, y1, y1 + w, 0.0)]
        walks += [sheet(x0 - w, x0, y0, y1, 0.0), sheet(x1, x1 + w, y0, y1, 0.0)]
    houses = [box((x0, y0, 0), (x1, y1, 12)) for x0, x1, y0, y1 in blocks]
    return city(
        (Semantic.ROAD, np.concatenate(roads)),
        (Semantic.SIDEWALK, np.concatenate(walks)),
        (Semantic.BUILDING, np.concatenate(houses)),
    )


def roads_of_town() -> shapely.Geometry:
    half = WIDTH / 2
    across = [shapely.box(-180, y - half, 180, y + half) for y in STREETS]
    return shapely.union_all(across + [shapely.box(x - half, -180, x + half, 180) for x in STREETS])


def ring_road(city, radius: float = 60.0):
    angles = np.linspace(0, 2 * np.pi, 65)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    inner, outer = ((np.column_stack([r * circle, np.zeros(65)])) for r in (radius - WIDTH / 2, radius + WIDTH / 2))
    triangles = [(inner[i], outer[i], outer[i + 1]) for i in range(64)] + [
        (inner[i], outer[i + 1], inner[i + 1]) for i in range(64)
    ]
    return city((Semantic.ROAD, np.array(triangles)))


def graph_of(world: CityMap) -> LaneGraph:
    return LaneGraph.of(world, street_network(world))


def degrees(streets: StreetNetwork) -> list[int]:
    return sorted(degree for _, degree in streets.graph.degree())


def test_a_plus_has_four_streets_from_one_crossing(plus):
    streets = street_network(plus)
    assert len(streets.edges) == 4 and degrees(streets) == [1, 1, 1, 1, 4]
    crossing = next(n for n, degree in streets.graph.degree() if degree == 4)
    assert np.linalg.norm(streets.graph.nodes[crossing]["xy"]) < 1.5
    for edge in streets.edges:
        assert streets.width(edge) == pytest.approx(WIDTH, abs=1.0)
        line = streets.line(edge, crossing)
        assert np.abs(line).min(axis=1).max() < 1.0, "centre lines lie on the axes"
        assert np.linalg.norm(line[-1]) > 140 and np.linalg.norm(line[0]) < 1.5
        assert (streets.line(edge, next(n for n in edge[:2] if n != crossing)) == line[::-1]).all()


def test_a_ring_road_is_a_street_round_its_centre_line(city):
    streets = street_network(ring_road(city))
    assert streets.edges
    lines = np.concatenate([streets.line(edge, edge[0]) for edge in streets.edges])
    assert np.linalg.norm(lines, axis=1) == pytest.approx(np.full(len(lines), 60), abs=1.5)
    assert nx.is_connected(nx.Graph(streets.graph))


def test_a_city_without_roads_has_no_streets_and_refuses_traffic(city, sheet):
    meadow = city((Semantic.TERRAIN, sheet(-50, 50, -50, 50)))
    assert street_network(meadow).edges == []
    graph = graph_of(meadow)
    Traffic(meadow, graph, 0, np.random.default_rng(0)).step(0.1, NOBODY)
    with pytest.raises(ValueError, match="no roads"):
        Traffic(meadow, graph, 1, np.random.default_rng(0))


def footprints(actors: list[Actor]) -> np.ndarray:
    """(n,) polygons."""
    corners = [np.array([(1, 1, 0), (1, -1, 0), (-1, -1, 0), (-1, 1, 0)]) * a.size / 2 for a in actors]
    places = [actor.pose.apply(corner)[:, :2] for actor, corner in zip(actors, corners, strict=True)]
    return shapely.polygons(np.array(places).reshape(-1, 4, 2))


def overlapping(actors: list[Actor]) -> list[tuple[Actor, Actor]]:
    boxes = footprints(actors)
    pairs = shapely.STRtree(boxes).query(boxes, predicate="intersects").T
    return [(actors[a], actors[b]) for a, b in pairs if a < b]


def watched(world, actors: int, seconds: float, seed: int = 1, every: float = 0.1) -> list[list[Actor]]:
    """Where everybody is, ten times a second or less often."""
    traffic = Traffic(world, graph_of(world), actors, np.random.default_rng(seed))
    out = [traffic.actors()]
    for step in range(1, round(seconds * 10) + 1):
        traffic.step(0.1, NOBODY)
        if step % round(every * 10) == 0:
            out.append(traffic.actors())
    return out


def test_the_same_seed_gives_the_same_traffic(grid):
    first, again, other = (watched(grid, 10, 5, seed)[-1] for seed in (1, 1, 2))
    places = [np.array([a.pose.position for a in actors]) for actors in (first, again, other)]
    assert (places[0] == places[1]).all() and (places[0] != places[2]).any()


def test_kinds_have_their_sizes_and_speeds(grid):
    moments = watched(grid, 60, 60, every=1.0)
    for kind in (*VEHICLES, WALKER):
        seen = [a for actors in moments for a in actors if a.semantic is kind.semantic and near(a.size, kind.size)]
        assert seen, kind.name
        speeds = [np.linalg.norm(a.velocity) for a in seen]
        assert 0.3 * kind.speed < np.max(speeds) <= 1.25 * kind.speed, kind.name


def near(size: np.ndarray, kind: tuple[float, float, float]) -> bool:
    return bool((np.abs(size / np.array(kind) - 1) < 0.065).all())


def test_vehicles_stay_on_the_carriageway_and_walkers_beside_it_or_on_crossings(town):
    moments = watched(town, 60, 90, seed=3, every=0.5)
    roads = roads_of_town()
    paved = roads.buffer(SIDEWALK, join_style="mitre")
    everybody = [actor for actors in moments for actor in actors]
    vehicles = [a for a in everybody if a.semantic in DRIVEN]
    walkers = [a for a in everybody if a.semantic is Semantic.PEDESTRIAN]
    assert len(vehicles) > 3000 and len(walkers) > 3000
    assert roads.buffer(0.5).contains(footprints(vehicles)).all(), "half a metre: a raster cell"
    assert paved.buffer(0.5).contains(footprints(walkers)).all()
    on_road = roads.buffer(-1.0).contains(footprints(walkers)).mean()
    assert 0.01 < on_road < 0.4, "some cross, most are on sidewalks"


def test_vehicles_keep_left(plus):
    left = right = 0
    for actors in watched(plus, 14, 60):
        for actor in actors:
            x, y = actor.pose.position[:2]
            along = np.array([np.cos(actor.pose.yaw), np.sin(actor.pose.yaw)])
            on_arm = (abs(x) > 15 and abs(y) < 5) or (abs(y) > 15 and abs(x) < 5)
            straight = np.abs(along).max() > 0.98
            if actor.semantic in DRIVEN and on_arm and straight and max(abs(x), abs(y)) < 130:
                side = along[0] * y - along[1] * x  # distance to the left of the centre line
                left, right = left + (side > 0.5), right + (side < -0.5)
    assert left > 1000 and right == 0


def test_actors_stand_on_the_ground_and_move_as_they_say(grid):
    moments = watched(grid, 30, 20)
    for before, after in zip(moments[50:], moments[51:], strict=False):
        for a, b in zip(before, after, strict=True):
            assert a.instance == b.instance
            assert a.pose.position[2] - a.size[2] / 2 == pytest.approx(0, abs=1e-3)
            step = b.pose.position - a.pose.position
            assert np.linalg.norm(step) < 1.2
            assert np.linalg.norm(step - 0.1 * b.velocity) < 0.15, b
    assert len({a.instance for a in moments[0]}) == 30 and min(a.instance for a in moments[0]) >= 100


@pytest.mark.parametrize("seed", range(4))
def test_in_ten_minutes_nothing_overlaps_and_everybody_gets_on(grid, seed):
    """Vehicles and walkers, without sidewalks, where they come closest to each other."""
    moments = watched(grid, 40, 600, seed, every=0.5)
    for actors in moments:
        assert not overlapping(actors)
    assert standing_still(moments, moments_long=300) == set()


@pytest.mark.parametrize("actors", [100, pytest.param(300, marks=pytest.mark.slow)])
def test_a_town_full_of_traffic_keeps_flowing(town, actors):
    moments = watched(town, actors, 300, seed=actors, every=1.0)
    for now in moments:
        assert not overlapping(now)
    assert standing_still(moments, moments_long=150) == set()


def standing_still(moments: list[list[Actor]], moments_long: int) -> set[int]:
    """Who has not left a circle of one metre for so many moments."""
    places = np.array([[actor.pose.position[:2] for actor in actors] for actors in moments])
    window = moments_long
    stuck: set[int] = set()
    for start in range(0, len(places) - window, window // 5):
        reach = np.linalg.norm(places[start : start + window] - places[start], axis=2).max(axis=0)
        stuck |= {moments[0][number].instance for number in np.flatnonzero(reach < 1.0)}
    return stuck


def test_vehicles_wait_while_somebody_is_on_a_crossing(town):
    """No walker is hit, and none is passed by at speed: who is on the road has it to himself."""
    waiting, road = 0, roads_of_town().buffer(-0.8)
    for actors in watched(town, 80, 120, seed=5, every=0.5):
        walkers = [a for a in actors if a.semantic is Semantic.PEDESTRIAN]
        vehicles = [a for a in actors if a.semantic in DRIVEN]
        ahead = [ahead_of(a) for a in vehicles]
        on_road = [w for w in walkers if road.contains(shapely.Point(w.pose.position[:2]))]
        boxes = footprints(on_road)
        for vehicle, area in zip(vehicles, ahead, strict=True):
            close = bool(shapely.intersects(area, boxes).any())
            waiting += close and np.linalg.norm(vehicle.velocity) < 0.3
            assert not close or np.linalg.norm(vehicle.velocity) < 3.0, (vehicle, "drives at a walker")
    assert waiting > 5


def ahead_of(actor: Actor) -> shapely.Polygon:
    """The lane 4 m ahead of a vehicle."""
    length, width, _ = actor.size / 2
    corners = np.array([(length, width, 0), (length, -width, 0), (length + 4, -width, 0), (length + 4, width, 0)])
    return shapely.Polygon(actor.pose.apply(corners)[:, :2])


def test_traffic_yields_to_a_robot_that_stands_in_its_lane_but_not_to_one_that_flies(plus):
    """A robot in each lane of the eastern arm: nobody drives through; under drones everybody does."""
    robots = np.array([[60.0, side * 1.8, 0.4] for side in (-1, 1)])
    for flying in (0.0, 30.0):
        traffic = Traffic(plus, graph_of(plus), 14, np.random.default_rng(3), robots)
        waiting, beyond = set(), set()
        for _ in range(900):
            traffic.step(0.1, robots + [0, 0, flying])
            vehicles = [actor for actor in traffic.actors() if actor.semantic in DRIVEN]
            for actor, box in zip(vehicles, footprints(vehicles), strict=True):
                close = min(box.distance(shapely.Point(robot)) for robot in robots)
                assert flying or close > 0.3, actor
                if np.linalg.norm(actor.velocity) < 0.05 and close < 8:
                    waiting.add(actor.instance)
                if close < 0.3:
                    beyond.add(actor.instance)
        assert waiting if not flying else beyond


@pytest.mark.parametrize("who", ["walkers", "robots"])
def test_vehicles_brake_for_who_stands_ahead(plus, monkeypatch, who):
    """In each lane of the eastern arm: nobody gets there at speed and stops dead, and nobody touches."""
    places = np.array([[60.0, side * 1.8] for side in (-1, 1)])

    def stand(ways, walkers, *_):
        walkers.pose[:, :2] = np.resize(places if who == "walkers" else places + [0, 500.0], (len(walkers.at), 2))

    monkeypatch.setattr("tokyo_sim.traffic.traffic.walk", stand)
    traffic = Traffic(plus, graph_of(plus), 20, np.random.default_rng(3), places)
    speeds, waiting = [], set()
    for _ in range(600):
        traffic.step(0.1, places if who == "robots" else NOBODY)
        vehicles = [actor for actor in traffic.actors() if actor.semantic in DRIVEN]
        speeds.append([np.linalg.norm(actor.velocity) for actor in vehicles])
        for actor, box in zip(vehicles, footprints(vehicles), strict=True):
            close = min(box.distance(shapely.Point(place)) for place in places)
            assert close > 0.3, actor
            waiting |= {actor.instance} if close < 8 and np.linalg.norm(actor.velocity) < 0.05 else set()
    assert len(waiting) >= 2
    assert (np.diff(speeds, axis=0) / 0.1).min() > -7.1


def test_nobody_starts_beside_a_robot(grid):
    robots = np.array([[x, y, 0.4] for x in (-100.0, 0, 100) for y in (-61.8, 58.2)])
    for seed in range(4):
        traffic = Traffic(grid, graph_of(grid), 40, np.random.default_rng(seed), robots)
        boxes = footprints(traffic.actors())
        assert min(box.distance(shapely.Point(robot)) for box in boxes for robot in robots) > 0.6


def test_buses_do_not_turn_where_they_do_not_fit(city, sheet):
    """A ring of streets 5.6 m wide: cars go round it, buses are not let in."""
    narrow = grid_of(city, sheet, 5.6)
    graph = graph_of(narrow)
    bus, car = (next(n for n, kind in enumerate(VEHICLES) if kind.name == name) for name in ("bus", "car"))
    assert not any(lane.kinds >> bus & 1 for lane in graph.lanes)
    assert any(lane.kinds >> car & 1 for lane in graph.lanes)


@settings(max_examples=8, deadline=None)
@given(st.floats(0, 180), st.floats(40, 140), st.floats(6.0, 18.0), st.floats(4.0, 12.0))
def test_lanes_of_any_crossing_lead_on_and_stay_on_the_road(city, heading, angle, width, other_width):
    """Two streets that cross at any angle; where carriageways are too narrow for two lanes there are none."""
    bands = [band(np.radians(heading), width), band(np.radians(heading + angle), other_width)]
    world = city((Semantic.ROAD, np.concatenate([triangles for triangles, _ in bands])))
    roads = shapely.union_all([area for _, area in bands]).buffer(1.0)
    graph = graph_of(world)
    assert graph.lanes
    for number, lane in enumerate(graph.lanes):
        assert roads.contains(shapely.LineString(lane.line).buffer(0.3))
        leaving = [graph.movements[n] for n in graph.leaving(number)]
        served = 0
        for movement in leaving:
            served |= movement.kinds
            assert np.linalg.norm(movement.line[0] - lane.line[-1]) < 1e-6
            assert np.linalg.norm(movement.line[-1] - graph.lanes[movement.to].line[0]) < 1e-6
        assert served == lane.kinds, "every vehicle on a lane has a way on"
    for number, others in enumerate(graph.conflicts):
        assert number not in others
        assert all(number in graph.conflicts[other] for other in others)


def band(heading: float, width: float) -> tuple[np.ndarray, shapely.Polygon]:
    along = np.array([np.cos(heading), np.sin(heading)])
    aside = width / 2 * np.array([-along[1], along[0]])
    corners = [-140 * along - aside, 140 * along - aside, 140 * along + aside, -140 * along + aside]
    a, b, c, d = (np.array([*corner, 0.0]) for corner in corners)
    return np.array([(a, b, c), (a, c, d)]), shapely.Polygon(corners)
