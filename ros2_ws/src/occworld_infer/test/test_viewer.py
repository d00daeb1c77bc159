"""What the page shows, and when: colours, the timeline, the player, the city in tiles, live topics put together."""

from __future__ import annotations

import base64
import io
import re
import socket
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from snapshots import HERE, HORIZONS_S, block, snapshot, together

from occ_core.actors import Actor
from occ_core.citymap import CityMap
from occ_core.classes import COLOURS, Semantic
from occ_core.grid import TOKYO_GRID, VoxelGrid
from occ_core.poses import Pose
from occworld_infer.forecast_message import HeardForecast, Latency
from occworld_infer.grading import Grade
from occworld_infer.grids import grid_points, moved
from occworld_infer.viewer.camera_strip import LARGEST, NAMES, kept, large, strip
from occworld_infer.viewer.city_tiles import CityTiles
from occworld_infer.viewer.controls import Colouring
from occworld_infer.viewer.live_snapshots import LiveRobot
from occworld_infer.viewer.page import Page, PortInUse
from occworld_infer.viewer.panels import comparison, grades_table, iou_curves, meanings
from occworld_infer.viewer.player import Player
from occworld_infer.viewer.snapshot import PlacedVoxels, PredictedFrame, Snapshot
from occworld_infer.viewer.split_plane import split_at
from occworld_infer.viewer.timeline import Newest, Timeline
from occworld_infer.viewer.voxel_colours import NOW_COLOUR, Verdict, by_horizon, by_side, by_verdict, verdicts

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


@given(GRIDS, GRIDS, st.floats(0, 1))
def test_on_the_left_of_the_split_is_what_came_and_on_its_right_what_was_forecast(
    forecast: np.ndarray, truth: np.ndarray, share: float
) -> None:
    elsewhere = HERE @ Pose.from_xyz_rpy(np.array([3.0, 0, 0]), np.zeros(3))
    y = split_at(TINY, share)
    cubes = by_side(
        PlacedVoxels.of_classes(TINY, forecast, elsewhere), PlacedVoxels.of_classes(TINY, truth, HERE), y
    )  # fmt: skip
    assert cubes.frame is HERE
    shown = np.zeros((*TINY.shape, 3), np.uint8)
    shown[tuple(TINY.index(cubes.centres)[0].T)] = cubes.colours
    for column in range(TINY.shape[1]):
        centre = TINY.lower[1] + (column + 0.5) * TINY.voxel[1]
        expected = truth if centre > y else forecast
        assert (shown[:, column] == np.where(expected[:, column, :, None] > 0, COLOURS[expected[:, column]], 0)).all()


def test_the_split_goes_from_the_left_edge_of_the_grid_to_its_right() -> None:
    assert (split_at(TOKYO_GRID, 0.0), split_at(TOKYO_GRID, 0.5), split_at(TOKYO_GRID, 1.0)) == (40.0, 0.0, -40.0)


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


def test_a_legend_is_sent_in_one_packet_with_the_voxels_that_it_explains(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    controls, server = watched.page.controls, watched.page._server._websock_server
    controls.seek(1.0)
    watched.player.tick(0.05)
    sent: list[tuple[str, int]] = []

    def queue(message: object) -> None:
        sent.append((type(message).__name__ + str(getattr(message, "updates", "")), held[0]))

    held = [0]
    atomic = server.atomic

    @contextmanager
    def counted():
        held[0] += 1
        with atomic():
            yield
        held[0] -= 1

    monkeypatch.setattr(server, "atomic", counted)
    monkeypatch.setattr(server, "queue_message", queue)
    controls._colouring.value = Colouring.TRUTH.value
    controls._ahead.value = 1.0
    sent.clear()
    watched.player.tick(0.0)
    explained = [depth for name, depth in sent if "made 1 s ago" in name or "No forecast" in name]
    assert explained and all(explained), sent


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


def test_the_page_opens_with_a_forecast_beside_truth_of_the_robot_with_most_to_see() -> None:
    truth = Colouring.BESIDE.value
    assert opening(forecast_film("drone_0", "rover_0")) == ("drone_0", 1.0, truth), "it sees more voxels"
    moving = forecast_film("drone_0", "rover_0", rover_0=Semantic.CAR)
    assert opening(moving) == ("rover_0", 1.0, truth), "about it something moves"
    alone = forecast_film("rover_0")
    assert opening(alone) == ("drone_0", 0.0, "class"), "the other one may be just about to come"
    assert opening(alone, ticks=8) == ("rover_0", 1.0, truth)
    nothing = Timeline(keep=10)
    nothing.add(snapshot(10.0, block((4, 0, 1), Semantic.CAR)))
    assert opening(nothing, ("rover_0",), ticks=8) == ("rover_0", 0.0, "class"), "without a forecast, what is seen"


def slow_model(live: bool) -> tuple[Page, Player]:
    """Six seconds of snapshots, of which the one at 2 s alone was forecast from."""
    timeline, seen = Timeline(keep=20), block((4, 0, 1), Semantic.CAR)
    for step in range(13):
        ahead = [block((6, 0, 1), Semantic.CAR)] * len(HORIZONS_S) if step == 4 else None
        timeline.add(snapshot(step / 2, seen, ahead))
    page = Page(0, ("rover_0",), live=live)
    return page, Player(timeline, page, ("rover_0",), live=live)


def test_of_a_slow_model_the_last_forecast_that_came_true_is_shown_and_how_long_ago_that_was() -> None:
    page, player = slow_model(live=True)
    player.tick(0.0)
    assert page.controls.choice.colouring is Colouring.BESIDE, "it opens with it"
    assert page.controls._status.content.startswith("rover_0 at 3.0 s")
    words = page.controls._words.content
    assert "Left: what rover_0 saw 3.0 s ago. Right: what was forecast of it 1 s before." in words
    assert "the model is slower" in words
    page.controls.choose(ahead=3.0)
    player.tick(0.0)
    assert page.controls._status.content.startswith("rover_0 at 5.0 s")
    page.controls.choose(ahead=0.0)
    player.tick(0.0)
    assert page.controls._status.content.startswith("rover_0 at 6.0 s") and "ago" not in page.controls._words.content
    player.close()


def test_a_recording_shows_the_time_that_was_asked_for_whether_it_was_forecast_or_not() -> None:
    page, player = slow_model(live=False)
    page.controls.choose(ahead=1.0, colouring=Colouring.BESIDE)
    beside = "Left: what rover_0 sees now."
    for at, of, words in ((6.0, 6.0, "What rover_0 sees now."), (3.0, 3.0, beside), (3.3, 3.0, beside)):
        page.controls.seek(at)
        player.tick(0.0)
        assert page.controls._status.content.startswith(f"rover_0 at {of} s") and words in page.controls._words.content
    player.close()


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

    assert "What was forecast 1 s before, laid over what rover_0 sees now." in words(1.0, Colouring.TRUTH)
    beside = words(1.0, Colouring.BESIDE)
    assert "Left: what rover_0 sees now. Right: what was forecast of it 1 s before." in beside
    assert "What rover_0 sees now." in words(2.0, Colouring.TRUTH), "none was made two seconds ago"
    assert "What rover_0 sees now." in words(2.0, Colouring.BESIDE)
    assert "What is forecast to be around rover_0 in 3 s." in words(3.0, Colouring.CLASS)
    assert "new within 0.5 s" in words(0.5, Colouring.HORIZON)
    assert "move the slider" in words(0.0, Colouring.CLASS)
    assert "Intersection over union" in meanings() and "without a model" in meanings()
    player.close()


def test_grades_stand_as_bars_and_say_while_they_are_young() -> None:
    grade = Grade(1.0, 0.5, 0.25, 0.5, 0.25, 12)
    table = grades_table((grade, replace(grade, horizon_s=1.5)), "")
    assert re.findall(r"width:([\d.]+)%", table.replace("width:100%", "")) == ["50.0", "25.0"], "1 s, and no 1.5 s"
    assert "Mean of 12 forecasts" in table
    assert "Mean of" not in grades_table((replace(grade, count=45),), "")
    assert "none yet" in grades_table((), "none yet")


def test_a_forecast_beside_truth_says_its_own_iou() -> None:
    text = comparison({Verdict.HIT: 30, Verdict.MISSED: 5, Verdict.FALSE: 15}, 1.5)
    assert "made 1.5 s before: <b>60.0%</b>" in text
    assert "of nothing" in comparison(dict.fromkeys(Verdict, 0), 1.0)


def graded(stamp: float, iou: float, warp: float) -> Snapshot:
    """A snapshot at which forecasts of one second have these IoUs."""
    return replace(snapshot(stamp, block((0, 0, 1), Semantic.CAR)), grades=(Grade(1.0, iou, warp, 0.0, 0.0, 1),))


def test_ious_over_time_are_those_that_were_graded_until_then() -> None:
    timeline = Timeline(keep=10)
    timeline.add(snapshot(1.0, block((0, 0, 1), Semantic.CAR)))
    for stamp, iou in ((1.5, 0.5), (2.0, 0.6), (2.5, 0.7)):
        timeline.add(graded(stamp, iou, iou / 2))
    assert timeline.ious("rover_0", 1.0, until=2.0).tolist() == [[1.5, 0.5, 0.25], [2.0, 0.6, 0.3]]
    assert timeline.ious("rover_0", 2.0, until=9.0).shape == (0, 3)
    assert timeline.ious("drone_0", 1.0, until=9.0).shape == (0, 3)


@given(arrays(float, st.tuples(st.integers(2, 200), st.just(2)), elements=st.floats(0, 1)))
def test_the_curves_lie_at_their_ious_on_the_axis_that_is_written(ious: np.ndarray) -> None:
    html = iou_curves(np.column_stack([10 + 0.5 * np.arange(len(ious)), ious]), 2.0)
    assert "IoU over time, 2 s ahead" in html
    ticks = {float(y): int(p) / 100 for y, p in re.findall(r'y="([\d.]+)" text-anchor="end">(\d+)%', html)}
    (top, most), (bottom, least) = min(ticks.items()), max(ticks.items())
    for column, line in zip((1, 0), re.findall(r'points="([^"]+)"', html), strict=True):
        points = np.array([pair.split(",") for pair in line.split()], float)
        assert (np.diff(points[:, 0]) >= 0).all() and len(points) <= 150
        read = most + (points[:, 1] + 3.5 - top) / (bottom - top) * (least - most)
        tenth = 0.15 / (bottom - top)  # places are written to a tenth of a pixel
        assert least - tenth <= read.min() and read.max() <= most + tenth
        shown = ious[:, column] if len(ious) <= 150 else ious[[0, -1], column]
        assert np.allclose(read if len(ious) <= 150 else read[[0, -1]], shown, atol=tenth + 1e-6)


def test_one_grade_makes_no_curve_and_small_differences_fill_the_axis() -> None:
    assert iou_curves(np.array([[10.0, 0.5, 0.4]]), 1.0) == ""
    html = iou_curves(np.array([[10.0, 0.71, 0.66], [40.0, 0.72, 0.68]]), 1.0)
    assert re.findall(r">(\d+)%<", html) == ["65", "70", "75"]
    assert ">10 s<" in html and ">40 s<" in html


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


def jpegs(html: str) -> list[Image.Image]:
    """The pictures in a piece of HTML, in order."""
    return [Image.open(io.BytesIO(base64.b64decode(code))) for code in re.findall(r"image/jpeg;base64,([^\"]+)", html)]


def test_pictures_are_kept_as_jpegs_of_the_same_look_and_no_larger_than_is_shown() -> None:
    front = np.full((900, 1600, 3), (200, 10, 10), np.uint8)
    (again,) = jpegs(large("front", kept(kept(front))))
    assert again.size == LARGEST
    assert np.allclose(np.asarray(again).reshape(-1, 3), (200, 10, 10), atol=4)
    (narrow,) = jpegs(large("front", kept(np.zeros((90, 320, 3), np.uint8))))
    assert narrow.size == (320, 90), "nothing is made larger than it is"
    with pytest.raises(ValueError, match="an image can't be read"):
        kept(b"no JPEG")


def test_the_strip_has_a_place_for_each_camera_in_the_order_of_the_rig() -> None:
    pictures = {name: kept(np.full((90, 160, 3), 40 * at, np.uint8)) for at, name in enumerate(NAMES) if name != "back"}
    html = strip(pictures)
    shades = [round(float(np.asarray(picture).mean()) / 40) for picture in jpegs(html)]
    assert shades == [0, 1, 2, 3, 5], "front left, front, front right, back left, and no back"
    assert html.count("<div style=") == 2, "the strip, and a dark place for what is not there"
    assert html.index("'front left'") < html.index("'front'") < html.index("'front right'") < html.index("'back left'")
    with pytest.raises(ValueError, match="no camera 'top'"):
        strip({"top": pictures["front"]})


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


@settings(max_examples=12)
@given(st.floats(-8, 8), st.floats(-3, 3), st.floats(-3.1, 3.1))
def test_a_typed_forecast_is_shown_as_it_says(x: float, y: float, yaw: float) -> None:
    coarse = VoxelGrid((-10.0, -10.0, -1.0), (10.0, 10.0, 4.0), (1.0, 1.0, 1.0))
    ahead = PlacedVoxels(
        coarse, Pose.from_xyz_rpy([x, y, 0.2], [0, 0, yaw]), np.array([3, 70]), np.array([9, 1], np.uint8)
    )
    now = PlacedVoxels(coarse, HERE, np.array([5], np.int32), np.array([9], np.uint8))
    topics, grades = Topics(), (Grade(1.5, 0.5, 0.4, 0.6, 0.5, count=3),)
    heard = HeardForecast({1.5: ahead}, {1.5: np.ones(2, np.float32)}, Latency(0.1, 0.2, 0.3), grades)
    topics.odometry(10.0, 10.5)
    topics.occupancy(10.0, block((4, 0, 1), Semantic.ROAD))
    topics.robot.forecast(10.0, heard)
    assert topics.timeline.exactly("rover_0", 10.0).forecast is None, "that keyframe is of the grid given at the start"
    topics.robot.forecast(10.5, heard)
    topics.occupancy(10.5, now)
    shown = topics.timeline.exactly("rover_0", 10.5)
    assert shown.occupancy.grid == coarse and shown.occupancy.numbers.tolist() == [5]
    (voxels,) = shown.forecast.voxels
    assert shown.forecast.horizons_s == (1.5,) and shown.forecast.seconds == 0.2 and shown.grades == grades
    assert voxels.numbers is ahead.numbers and voxels.labels is ahead.labels, "nothing is worked out anew"
    assert np.allclose(voxels.frame.apply(np.eye(3)), HERE.apply(ahead.frame.apply(np.eye(3))))


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
