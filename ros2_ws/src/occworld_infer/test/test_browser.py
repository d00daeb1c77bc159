"""The page in a real browser: voxels are drawn where they are, in the colour that says what they are."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from snapshots import HERE, HORIZONS_S, block, snapshot, together

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.poses import Pose
from occworld_infer.viewer.camera_strip import kept
from occworld_infer.viewer.controls import Colouring
from occworld_infer.viewer.page import Page
from occworld_infer.viewer.player import Player
from occworld_infer.viewer.screenshot import Browser, find_chromium
from occworld_infer.viewer.timeline import Timeline
from occworld_infer.viewer.voxel_colours import Verdict

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium here: apt install chromium")
SIDE = 400
HEIGHT = 40.0
SEEN_AT = (4.0, 6.0, 1.0)
"""Of the block that is there now: metres ahead, to the left, and up."""
LATER = HERE @ Pose.from_xyz_rpy(np.array([5.0, 1.0, 0.0]), np.array([0, 0, 0.4]))
FORESEEN_AT = (12.0, -8.0, 1.0)
PATIENCE_S = 90.0


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for a condition on a machine that may be busy."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    """Two snapshots a second apart; the robot has moved and turned. The first has a forecast, half right."""
    there, moved = block(SEEN_AT, Semantic.PEDESTRIAN), block(FORESEEN_AT, Semantic.CAR)
    late = block((-10.0, 3.0, 1.0), Semantic.VEGETATION)
    timeline, pictures = Timeline(keep=10), {"front": kept(np.full((360, 640, 3), (200, 10, 10), np.uint8))}
    made = snapshot(10.0, there, [together(there, moved)] * len(HORIZONS_S))
    timeline.add(replace(made, pictures=pictures))
    timeline.add(replace(snapshot(11.0, replace(together(there, late), frame=LATER)), pictures=pictures))
    timeline.complete = True
    return timeline


@pytest.fixture(scope="module")
def page(timeline: Timeline) -> Iterator[Page]:
    ground = np.array([(-60, -60, 3), (260, -60, 3), (260, 260, 3), (-60, 260, 3)], np.float32)
    city = CityMap(ground, np.array([(0, 1, 2), (0, 2, 3)], np.int32), np.full(2, Semantic.ROAD, np.uint8))
    page = Page(0, ("rover_0",), city)
    player = Player(timeline, page, ("rover_0",))
    page.controls.seek(0.0)
    player.start()
    yield page
    player.close()


@pytest.fixture(scope="module")
def browser(page: Page) -> Iterator[Browser]:
    with Browser(page.url, 1000, 700) as browser:
        until(lambda: len(page.clients) == 1, "the browser connects")
        yield browser


def from_above(page: Page) -> np.ndarray:
    """(SIDE, SIDE, 3) int64: the scene from above the robot, its front up, its left to the left."""
    (client,) = page.clients
    camera = client.camera
    camera.up_direction, camera.position, camera.look_at = (1.0, 0.0, 0.0), (0.0, 0.0, HEIGHT), (0.0, 0.0, 0.0)
    return client.get_render(height=SIDE, width=SIDE)[:, :, :3].astype(int)


def pixel_of(page: Page, at: tuple[float, float, float]) -> tuple[int, int]:
    """Row and column where a point of the footprint is, metres: a pinhole's projection."""
    (client,) = page.clients
    focal = SIDE / 2 / np.tan(client.camera.fov / 2)
    depth = HEIGHT - at[2]
    return round(SIDE / 2 - focal * at[0] / depth), round(SIDE / 2 - focal * at[1] / depth)


def hue_is(picture: np.ndarray, pixel: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    """Is the colour there, as light and fog leave it: the same direction from grey?"""
    row, column = pixel
    found = picture[row - 1 : row + 2, column - 1 : column + 2].reshape(-1, 3).mean(axis=0)
    found, wanted = found - found.mean(), np.array(colour) - np.mean(colour)
    return bool(np.linalg.norm(found) > 12 and found @ wanted > 0.9 * np.linalg.norm(found) * np.linalg.norm(wanted))


def shows(page: Page, colours: dict[tuple[float, float, float], tuple[int, int, int] | None]) -> bool:
    """Is each point of the footprint drawn in its colour; None: in that of the grey ground?"""
    picture = from_above(page)
    for at, colour in colours.items():
        row, column = pixel_of(page, at)
        if colour is None and np.ptp(picture[row, column]) > 25:
            return False
        if colour is not None and not hue_is(picture, (row, column), colour):
            return False
    return True


CAR, PEDESTRIAN, PLANT = (30, 110, 230), (215, 40, 60), (46, 125, 50)
LATE_AT = (-10.0, 3.0, 1.0)


def test_now_shows_what_is_observed_and_nothing_of_the_forecast(page: Page, browser: Browser) -> None:
    page.controls.choose(ahead=0.0, colouring=Colouring.CLASS)
    until(lambda: shows(page, {SEEN_AT: PEDESTRIAN, FORESEEN_AT: None, LATE_AT: None}), "the block of now alone")


def test_the_slider_shows_the_forecast_of_its_horizon(page: Page, browser: Browser) -> None:
    page.controls.choose(ahead=2.0, colouring=Colouring.CLASS)
    until(lambda: shows(page, {SEEN_AT: PEDESTRIAN, FORESEEN_AT: CAR, LATE_AT: None}), "both blocks of the forecast")


def test_by_horizon_what_is_new_is_coloured_and_what_is_there_is_grey(page: Page, browser: Browser) -> None:
    page.controls.choose(ahead=0.5, colouring=Colouring.HORIZON)
    until(lambda: shows(page, {SEEN_AT: None, FORESEEN_AT: (252, 180, 45), LATE_AT: None}), "the new block in yellow")


def test_a_forecast_is_compared_with_what_came(page: Page, browser: Browser) -> None:
    page.controls.choose(ahead=1.0, colouring=Colouring.TRUTH)
    page.controls.seek(1.0)
    expected = {SEEN_AT: Verdict.HIT.value, FORESEEN_AT: Verdict.FALSE.value, LATE_AT: Verdict.MISSED.value}
    until(lambda: shows(page, expected), "hit, false and missed in their colours")
    until(lambda: "hit: forecast and there (9)" in browser.evaluate("document.body.innerText"), "the legend counts")


def test_a_forecast_stands_beside_what_came(page: Page, browser: Browser) -> None:
    page.controls.choose(ahead=1.0, colouring=Colouring.BESIDE, split=0.5)
    page.controls.seek(1.0)
    # On the left truth, with its late block; on the right, behind the pane, the forecast with the block it foresaw.
    until(lambda: shows(page, {SEEN_AT: PEDESTRIAN, LATE_AT: PLANT, FORESEEN_AT: CAR}), "both sides")
    page.controls.choose(split=0.0)
    until(lambda: shows(page, {SEEN_AT: PEDESTRIAN, LATE_AT: None, FORESEEN_AT: CAR}), "the forecast alone")
    page.controls.choose(split=1.0)
    until(lambda: shows(page, {SEEN_AT: PEDESTRIAN, LATE_AT: PLANT, FORESEEN_AT: None}), "truth alone")
    # 9 voxels are hit; missed and false are 9 each.
    until(lambda: "made 1 s before: 33.3%" in browser.evaluate("document.body.innerText"), "its IoU is written")


def test_a_camera_that_is_clicked_is_shown_large(page: Page, browser: Browser) -> None:
    widest = "Math.max(0, ...[...document.querySelectorAll('img[alt=\"front\"]')].map(i => i.offsetWidth))"
    until(lambda: 40 < (browser.evaluate(widest) or 0) < 160, "it is small in the strip")
    browser.evaluate("document.querySelector('img[alt=\"front\"]').dispatchEvent(new PointerEvent('pointerdown'))")
    until(lambda: browser.evaluate(widest) > 400, "it is large")
    assert press(browser, "Close")
    until(lambda: browser.evaluate(widest) < 160, "and small again")


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1024, 768), (820, 1180)], ids=["laptop", "tablet", "tall"])
def test_the_scene_keeps_its_room_and_nothing_lies_beyond_the_edge(page: Page, width: int, height: int) -> None:
    with Browser(page.url, width, height) as browser:
        browser.settled()
        width, height = browser.evaluate("[window.innerWidth, window.innerHeight]")  # less the browser's own bars
        images = "[...document.querySelectorAll('img[alt=\"front\"]')].map(i => i.getBoundingClientRect().toJSON())"
        until(lambda: browser.evaluate(images), "the strip is there")
        for box in browser.evaluate(images):
            assert 0 <= box["left"] and box["right"] <= width and box["bottom"] <= height
        scene = browser.evaluate("document.querySelector('canvas').getBoundingClientRect().width")
        assert scene >= 0.6 * width
        assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_the_button_of_the_page_plays_and_pauses(page: Page, browser: Browser) -> None:
    assert not page.controls.playing
    until(lambda: press(browser, "Play"), "the button is there")
    until(lambda: page.controls.playing, "it plays")
    until(lambda: press(browser, "Pause"), "the button has changed")
    until(lambda: not page.controls.playing, "it stands")


def press(browser: Browser, text: str) -> bool:
    """Click a button by what is written on it; False where there is none."""
    found = f"[...document.querySelectorAll('button')].find(b => b.innerText.trim() === '{text}')"
    return bool(browser.evaluate(f"(() => {{ const b = {found}; if (b) b.click(); return !!b; }})()"))


def test_the_tab_has_a_title_of_its_own(browser: Browser) -> None:
    until(lambda: browser.evaluate("document.title") == "Tokyo OccWorld", "the title")


def test_a_screenshot_is_the_whole_page(page: Page, browser: Browser) -> None:
    page.controls.seek(0.0)
    picture = np.asarray(Image.open(io.BytesIO(browser.settled())).convert("RGB")).astype(int)
    assert picture.shape[1] == 1000
    for text in ("robot", "rover_0", "colours", "Time", "Layers"):
        assert text in browser.evaluate("document.body.innerText")
    panel, scene = picture[:, -200:], picture[:, :600]
    assert np.ptp(scene.reshape(-1, 3), axis=0).min() > 40, "the scene is drawn"
    assert np.median(panel) < 60, "the panel is dark"
