"""What the page shows, and when: colours, the timeline, the player, the city in tiles, live topics put together."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from snapshots import HERE, HORIZONS_S, block, snapshot, together

from occ_core.actors import Actor
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.grid import TOKYO_GRID, VoxelGrid
from occ_core.poses import Pose
from occworld_infer.grading import Grade
from occworld_infer.grids import grid_points, moved
from occworld_infer.viewer.cameras import HEIGHT, WIDTH, mosaic, small
from occworld_infer.viewer.city import CityTiles
from occworld_infer.viewer.controls import Colouring
from occworld_infer.viewer.live import LiveRobot
from occworld_infer.viewer.page import Page, PortInUse
from occworld_infer.viewer.panels import grades_table
from occworld_infer.viewer.player import Player
from occworld_infer.viewer.snapshot import PlacedVoxels, PredictedFrame
from occworld_infer.viewer.timeline import Newest, Timeline
from occworld_infer.viewer.voxel_colours import NOW_COLOUR, Verdict, by_horizon, by_verdict, verdicts

TINY = VoxelGrid((-1.0, -1.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5))
GRIDS = arrays(np.uint8, TINY.shape, elements=st.integers(0, 15))

# -- voxels and their colours


@given(GRIDS, GRIDS)
def test_verdicts_share_out_every_voxel_and_are_the_iou(forecast: np.ndarray, truth: np.ndarray) -> None:
    found = verdicts(PlacedVoxels.of_classes(TINY, forecast, HERE), PlacedVoxels.of_classes(TINY, truth, HERE))
    a, b = forecast.ravel() > 0, truth.ravel() > 0
    assert sorted(np.concatenate(list(found.values()))) == list(np.flatnonzero(a | b))
    assert len(found[Verdict.HIT]) == np.count_nonzero(a & b)
    assert set(found[Verdict.MISSED]) == set(np.flatnonzero(b & ~a))


@given(GRIDS)
def test_voxels_are_the_grid_again(classes: np.ndarray) -> None:
    voxels = PlacedVoxels.of_classes(TINY, classes, HERE)
    assert (voxels.classes == classes).all()
    again = PlacedVoxels.of_points(TINY, voxels.centres[::-1], voxels.labels[::-1], HERE)
    assert (again.classes == classes).all()


def test_points_outside_the_grid_are_left_out() -> None:
    points, labels = np.array([(0.1, 0.1, 0.1), (9.0, 0, 0), (np.nan, 0, 0)]), np.array([3, 4, 5], np.uint8)
    assert PlacedVoxels.of_points(TINY, points, labels, HERE).labels.tolist() == [3]


def test_a_comparison_is_drawn_in_the_frame_of_the_truth() -> None:
    elsewhere = HERE @ Pose.from_xyz_rpy(np.array([3.0, 0, 0]), np.zeros(3))
    forecast, truth = block((4, 0, 1), Semantic.CAR, elsewhere), block((4, 0, 1), Semantic.CAR)
    cubes = by_verdict(forecast, truth)
    assert cubes.frame is truth.frame
    assert (cubes.colours == Verdict.HIT.value).all()


def test_by_horizon_draws_each_place_once_in_the_colour_of_its_first_horizon() -> None:
    now = block((4, 0, 1), Semantic.ROAD)
    further = HERE @ Pose.from_xyz_rpy(np.array([2.0, 0, 0]), np.zeros(3))
    # The same block as seen two metres further on, and a new one, which stays where it is in map.
    ahead = [together(block((2, 0, 1), Semantic.ROAD, further), block((6, 4, 1), Semantic.CAR, further))] * 6
    cubes = by_horizon(now, PredictedFrame(HORIZONS_S, tuple(ahead)), last=1.0)
    assert len(cubes.centres) == 18
    assert (cubes.colours[:9] == NOW_COLOUR).all()
    assert len(np.unique(cubes.colours[9:], axis=0)) == 1
    assert np.allclose(cubes.centres[9:].mean(axis=0), (8.2, 4.2, 1.125), atol=1e-3)


# -- the timeline and the player


def test_a_film_finds_moments_by_time() -> None:
    timeline = Timeline(keep=10)
    for stamp in (1.0, 1.5, 2.0):
        timeline.add(snapshot(stamp, block((0, 0, 1), Semantic.CAR)))
    assert timeline.span("rover_0") == (1.0, 2.0)
    assert [timeline.before("rover_0", at).stamp for at in (0.0, 1.2, 1.499, 1.5, 9.0)] == [1.0, 1.0, 1.5, 1.5, 2.0]
    assert timeline.exactly("rover_0", 1.2) is None
    assert (
        timeline.span("drone_0") is None
        and timeline.before("drone_0", 1.0) is None
        and timeline.pose("drone_0", 1) is None
    )


def test_between_two_moments_the_robot_is_on_its_way() -> None:
    timeline, further = Timeline(keep=10), HERE @ Pose.from_xyz_rpy(np.array([1.0, 0, 0]), np.zeros(3))
    timeline.add(snapshot(1.0, block((0, 0, 1), Semantic.CAR)))
    timeline.add(snapshot(1.5, block((0, 0, 1), Semantic.CAR, further)))
    halfway = timeline.pose("rover_0", 1.25).position
    assert np.allclose(halfway - HERE.position, (0.0, 0.5, 0.4))
    assert timeline.pose("rover_0", 60.0) is None, "nobody knows where it is a minute later"


def test_a_clock_that_began_anew_begins_the_film_anew() -> None:
    timeline = Timeline(keep=10)
    for stamp in (50.0, 50.5, 0.5):
        timeline.add(snapshot(stamp, block((0, 0, 1), Semantic.CAR)))
    assert timeline.span("rover_0") == (0.5, 0.5)


def test_a_film_keeps_its_end_or_its_beginning() -> None:
    live, recorded = Timeline(keep=2), Timeline(keep=2, keep_first=True)
    for stamp in (1.0, 1.5, 2.0):
        for timeline in (live, recorded):
            timeline.add(snapshot(stamp, block((0, 0, 1), Semantic.CAR)))
    assert live.span("rover_0") == (1.5, 2.0)
    assert recorded.span("rover_0") == (1.0, 1.5)
    assert recorded.refused == 1


class Watched:
    """A page with a timeline of three seconds, played by hand."""

    def __init__(self, live: bool) -> None:
        self.timeline = Timeline(keep=10)
        for step in range(7):
            self.timeline.add(snapshot(10 + step / 2, block((0, 0, 1), Semantic.CAR)))
        self.timeline.complete = True
        self.page = Page(0, ("rover_0", "drone_0"), live=live)
        self.player = Player(self.timeline, self.page, ("rover_0", "drone_0"), live=live)

    def text(self) -> str:
        return self.page.controls._status.content


@pytest.fixture(params=[False, True], ids=["recorded", "live"])
def watched(request: pytest.FixtureRequest):
    watched = Watched(request.param)
    yield watched
    watched.player.close()


def test_a_recording_begins_at_its_beginning_and_a_live_run_at_its_end(watched: Watched) -> None:
    watched.player.tick(0.05)
    assert watched.text().startswith(("rover_0 at 10.0 s", "rover_0 at 13.0 s")[watched.player._live])


def test_time_passes_while_it_plays_and_not_while_it_pauses(watched: Watched) -> None:
    controls = watched.page.controls
    controls.seek(0.5)
    watched.player.tick(0.05)
    watched.player.tick(2.0)
    assert watched.text().startswith("rover_0 at 10.5 s")
    controls.play(True)
    watched.player.tick(1.0)
    assert watched.text().startswith(("rover_0 at 11.5 s", "rover_0 at 13.0 s")[watched.player._live])


def test_a_recording_starts_over_when_it_has_ended() -> None:
    watched = Watched(live=False)
    for seconds in (0.05, 3.2, 0.05):
        watched.player.tick(seconds)
    assert watched.text().startswith("rover_0 at 10.0 s")
    watched.player.close()


def test_a_robot_without_data_is_waited_for_and_one_that_is_not_there_refused(watched: Watched) -> None:
    watched.page.controls.choose(robot="drone_0")
    watched.player.tick(0.05)
    assert watched.text() == "waiting for drone_0"
    with pytest.raises(ValueError, match="no robot 'rover_7' here, there are rover_0, drone_0"):
        watched.page.controls.choose(robot="rover_7")


def test_what_is_as_it_was_is_not_sent_again(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    controls, sent = watched.page.controls, []
    controls.choose(ahead=1.0, colouring=Colouring.TRUTH)
    controls.seek(1.0)
    controls.play(watched.player._live)
    lidar, car = np.ones((5, 3), np.float32), Actor(3, Semantic.CAR, HERE, np.array([4, 2, 1.5]), np.zeros(3))
    watched.timeline.track("rover_0", Newest(HERE, lidar, (car,)))
    watched.player.tick(0.05)
    watched.player.tick(0.0)
    interface = watched.page._server._websock_server
    monkeypatch.setattr(interface, "queue_message", sent.append)
    watched.player.tick(0.0)
    assert sent == []
    watched.timeline.track("rover_0", Newest(HERE, lidar + 1, (car,)))
    watched.player.tick(0.0)
    assert bool(sent) == watched.player._live, "a new sweep is sent while one looks at what is live"


def opening(
    timeline: Timeline, robots: tuple[str, ...] = ("drone_0", "rover_0"), ticks: int = 1
) -> tuple[str, float, str]:
    """What a page has chosen after so many ticks of a second."""
    page = Page(0, robots, live=True)
    player = Player(timeline, page, robots, live=True)
    for _ in range(ticks):
        player.tick(1.0)
    choice = page.controls.choice
    player.close()
    return choice.robot, choice.ahead, choice.colouring.value


def forecast_film(*robots: str, **what: Semantic) -> Timeline:
    """Two snapshots a second apart of each robot, the first with a forecast. what: class of the block that it sees."""
    timeline = Timeline(keep=10)
    for robot in robots:
        seen = block((4, 0, 1), what.get(robot, Semantic.BUILDING), size=5 if robot.startswith("drone") else 3)
        timeline.add(snapshot(10.0, seen, [seen] * len(HORIZONS_S), robot))
        timeline.add(snapshot(11.0, seen, [seen] * len(HORIZONS_S), robot))
    return timeline


def test_the_page_opens_with_a_forecast_against_truth_of_the_robot_with_most_to_see() -> None:
    truth = Colouring.TRUTH.value
    assert opening(forecast_film("drone_0", "rover_0")) == ("drone_0", 1.0, truth), "it sees more voxels"
    moving = forecast_film("drone_0", "rover_0", rover_0=Semantic.CAR)
    assert opening(moving) == ("rover_0", 1.0, truth), "about it something moves"
    alone = forecast_film("rover_0")
    assert opening(alone) == ("drone_0", 0.0, "class"), "the other one may be just about to come"
    assert opening(alone, ticks=8) == ("rover_0", 1.0, truth)
    nothing = Timeline(keep=10)
    nothing.add(snapshot(10.0, block((4, 0, 1), Semantic.CAR)))
    assert opening(nothing, ("rover_0",), ticks=8) == ("rover_0", 0.0, "class"), "without a forecast, what is seen"


def test_what_somebody_has_chosen_stays() -> None:
    page = Page(0, ("drone_0", "rover_0"), live=True)
    player = Player(forecast_film("drone_0", "rover_0"), page, ("drone_0", "rover_0"), live=True)
    page.controls.choose(robot="rover_0", colouring=Colouring.HORIZON)
    player.tick(1.0)
    assert (page.controls.choice.robot, page.controls.choice.colouring) == ("rover_0", Colouring.HORIZON)
    player.close()


def test_the_page_says_in_words_what_is_on_the_screen_and_what_its_terms_mean() -> None:
    timeline = forecast_film("rover_0")
    page = Page(0, ("rover_0",), live=True)
    player = Player(timeline, page, ("rover_0",), live=True)

    def words(ahead: float, colouring: Colouring) -> str:
        page.controls.choose(ahead=ahead, colouring=colouring)
        player.tick(0.0)
        return page.controls._words.content

    assert "What was forecast 1 s ago, laid over what rover_0 sees now." in words(1.0, Colouring.TRUTH)
    assert "What rover_0 sees now." in words(2.0, Colouring.TRUTH), "none was made two seconds ago"
    assert "What is forecast to be around rover_0 in 3 s." in words(3.0, Colouring.CLASS)
    assert "new within 0.5 s" in words(0.5, Colouring.HORIZON)
    assert "move the slider" in words(0.0, Colouring.CLASS)
    table = grades_table((Grade(1.0, 0.5, 0.25, 0.5, 0.25, 1),), "")
    assert "Intersection over union" in table and "without a model" in table
    player.close()


def test_a_port_in_use_is_said() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} of 127.0.0.1 can.t be had .Address already in use"):
            Page(port, ("rover_0",))


# -- the city in tiles


@given(
    arrays(np.float32, st.tuples(st.integers(1, 40), st.just(3), st.just(3)), elements=st.floats(-500, 500, width=32))
)
def test_every_triangle_is_in_one_tile(triangles: np.ndarray) -> None:
    faces = np.arange(3 * len(triangles), dtype=np.int32).reshape(-1, 3)
    city = CityMap(triangles.reshape(-1, 3), faces, np.arange(len(faces), dtype=np.uint8) % 5 + 1)
    tiles = CityTiles(city)
    every = tiles.near(np.zeros(3), reach=1e6)
    back = [
        part.vertices[part.faces] + np.array([*tile, 0]) * 64.0 for tile in every for part in tiles.parts(tile)
    ]  # fmt: skip
    assert len(set(every)) == len(every)
    found, wanted = (np.array(sorted(t.reshape(-1, 9).tolist())) for t in (np.concatenate(back), triangles))
    assert np.allclose(found[:, 0], wanted[:, 0], atol=1e-3)
    assert np.allclose(np.sort(found, axis=0), np.sort(wanted, axis=0), atol=1e-3)


def test_the_nearest_tiles_come_first_and_the_budget_is_kept() -> None:
    centres = np.array([(x, y) for x in range(-300, 301, 20) for y in range(-300, 301, 20)], float)
    corners = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0)], float)
    triangles = (np.column_stack([centres, np.zeros(len(centres))])[:, None] + corners).astype(np.float32)
    faces = np.arange(3 * len(triangles), dtype=np.int32).reshape(-1, 3)
    tiles = CityTiles(CityMap(triangles.reshape(-1, 3), faces, np.ones(len(faces), np.uint8)))
    few = tiles.near(np.array([10.0, 10.0, 0]), most_triangles=100)
    assert few[0] == (0, 0)
    assert 0 < sum(len(part.faces) for tile in few for part in tiles.parts(tile)) <= 100
    assert len(tiles.near(np.array([10.0, 10.0, 0]))) > len(few)


# -- pictures


def test_six_pictures_make_one_and_a_missing_one_is_dark() -> None:
    front = np.full((900, 1600, 3), (200, 10, 10), np.uint8)
    picture = mosaic({"front": small(front)})
    assert picture[HEIGHT // 2, WIDTH + WIDTH // 2].tolist() == [200, 10, 10]
    assert picture[HEIGHT // 2, WIDTH // 2].max() < 60
    with pytest.raises(ValueError, match="no camera 'top'"):
        mosaic({"top": small(front)})
    with pytest.raises(ValueError, match="an image can't be read"):
        small(b"no JPEG")


# -- live topics


class Topics:
    """A robot that stands at HERE, and what it publishes."""

    def __init__(self) -> None:
        self.timeline = Timeline(keep=20)
        self.robot = LiveRobot("rover_0", self.timeline, lambda x, y: float(HERE.position[2]))
        self.base_link = Pose(HERE.position + [0, 0, 0.4], HERE.orientation)

    def odometry(self, *stamps: float) -> None:
        for stamp in stamps:
            self.robot.odometry(stamp, self.base_link)

    def occupancy(self, stamp: float, now: PlacedVoxels) -> None:
        self.robot.occupancy(stamp, now.centres, now.labels)

    def forecast(self, stamp: float, ahead: PlacedVoxels, poses: list[Pose]) -> None:
        """As the inference node publishes it: every horizon carried into the footprint of now."""
        clouds = [
            moved(grid_points(TOKYO_GRID, ahead.classes, horizon), *pose.position, pose.yaw)
            for horizon, pose in zip(HORIZONS_S, poses, strict=True)
        ]
        self.robot.prediction(stamp, np.concatenate(clouds))
        self.robot.path(stamp, list(zip(HORIZONS_S, poses, strict=True)))


@settings(max_examples=12)
@given(st.floats(-8, 8), st.floats(-3, 3), st.floats(-1, 1), st.floats(-3.1, 3.1))
def test_a_forecast_that_came_by_topic_is_the_one_that_was_made(x: float, y: float, z: float, yaw: float) -> None:
    topics = Topics()
    ahead = together(block((30, -20, 1), Semantic.CAR), block((-12, 7, 11), Semantic.BUILDING))
    steps = [Pose.from_xyz_rpy(np.array([x, y, z]) * h, np.array([0, 0, yaw * h / 3])) for h in HORIZONS_S]
    topics.odometry(9.98, 10.0)
    topics.occupancy(10.0, block((4, 0, 1), Semantic.ROAD))
    topics.forecast(10.0, ahead, steps)
    forecast = topics.timeline.exactly("rover_0", 10.0).forecast
    assert forecast.horizons_s == HORIZONS_S
    for voxels, step in zip(forecast.voxels, steps, strict=True):
        assert (voxels.numbers == ahead.numbers).all() and (voxels.labels == ahead.labels).all()
        assert np.allclose(voxels.frame.position, (HERE @ step).position)


def test_live_grades_are_those_that_the_inference_node_gives() -> None:
    topics, grade = Topics(), Grade(1.0, 0.5, 0.4, 0.6, 0.5, count=3)
    topics.odometry(10.0, 10.5)
    topics.robot.grades((grade,))
    topics.occupancy(10.5, block((4, 0, 1), Semantic.ROAD))
    assert topics.timeline.exactly("rover_0", 10.5).grades == (grade,)


def test_pieces_may_come_in_any_order_and_stale_ones_are_dropped() -> None:
    topics, there = Topics(), block((4, 0, 1), Semantic.ROAD)
    topics.occupancy(9.0, there)
    assert topics.timeline.span("rover_0") is None, "nobody knows where the robot was"
    topics.odometry(10.0, 9.99, 10.0, 10.02)
    topics.forecast(10.0, there, [Pose.identity()] * 6)
    topics.occupancy(10.0, there)
    assert topics.timeline.exactly("rover_0", 10.0).forecast is not None
    topics.forecast(5.0, there, [Pose.identity()] * 6)
    assert topics.timeline.span("rover_0") == (10.0, 10.0)


def test_a_simulator_that_was_started_again_is_followed() -> None:
    topics, there = Topics(), block((4, 0, 1), Semantic.ROAD)
    topics.odometry(100.0)
    topics.occupancy(100.0, there)
    topics.odometry(0.5)
    topics.occupancy(0.5, there)
    assert topics.timeline.span("rover_0") == (0.5, 0.5)


def test_a_sweep_and_the_traffic_are_seen_between_two_keyframes() -> None:
    topics = Topics()
    topics.robot.links = {"lidar_link": Pose.from_xyz_rpy(np.array([0, 0, 1.0]), np.zeros(3))}
    topics.odometry(10.0)
    topics.robot.sweep(10.0, np.array([(2.0, 0, 0), (np.nan, 0, 0)], np.float32), "lidar_link")
    topics.robot.sweep(10.0, np.ones((5, 3), np.float32), "somewhere")
    actor = Actor(3, Semantic.CAR, HERE, np.array([4, 2, 1.5]), np.zeros(3))
    topics.robot.actors([actor])
    topics.odometry(10.02)
    newest = topics.timeline.newest("rover_0")
    assert np.allclose(newest.lidar, [HERE.position + [0, 2.0, 1.4]], atol=1e-4)
    assert newest.actors == (actor,)
