"""The page in a real browser: what is drawn is where it should be."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose
from occworld_infer.grids import grid_points
from occworld_infer.viewer import BrowserView

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--window-size=900,700",
)  # fmt: skip


@pytest.fixture
def page(tmp_path: Path):
    ground = np.array([(-60, -60, 0), (60, -60, 0), (60, 60, 0), (-60, 60, 0)], np.float32)
    city = CityMap(ground, np.array([(0, 1, 2), (0, 2, 3)], np.int32), np.full(2, Semantic.TERRAIN, np.uint8))
    view = BrowserView(8300 + hash(tmp_path) % 500, city, ["rover_0"], (0.5, 3.0))
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", view.url]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield view
    browser.kill()
    browser.wait()
    view.close()


def red_pixels(picture: np.ndarray) -> np.ndarray:
    """(n, 2) row and column of a pedestrian's pixels: red, washed out to pink by full light; the ground is green."""
    red, green = picture[:, :, 0].astype(int), picture[:, :, 1].astype(int)
    return np.argwhere(red - green > 25)


def test_a_voxel_of_the_chosen_horizon_is_drawn_where_it_is(page: BrowserView) -> None:
    frame = Pose.from_xyz_rpy(np.array([10.0, 5.0, 0.0]), np.array([0, 0, np.pi / 2]))
    for horizon, forward in ((0.0, 4.0), (3.0, 12.0)):
        classes = np.zeros(TOKYO_GRID.shape, np.uint8)
        (cell,), _ = TOKYO_GRID.index(np.array([[forward, 0.0, 1.0]]))
        classes[cell[0] - 1 : cell[0] + 2, cell[1] - 1 : cell[1] + 2, cell[2]] = Semantic.PEDESTRIAN
        page.show_grid("rover_0", grid_points(TOKYO_GRID, classes, horizon), frame)
    client = _first_client(page)
    # Straight above the frame's origin, north (+y, the frame's forward) up in the picture.
    client.camera.up_direction = (0.0, 1.0, 0.0)
    client.camera.position = (10.0, 5.0, 40.0)
    client.camera.look_at = (10.0, 5.0, 0.0)
    rows = {}
    for horizon in (0.0, 3.0):
        page.look_ahead(horizon)
        time.sleep(2.0)
        found = red_pixels(client.get_render(height=400, width=400))
        assert len(found) > 8
        row, column = found.mean(axis=0)
        assert abs(column - 200) < 12, "the frame's forward is straight up in this picture"
        rows[horizon] = 200 - row
    # Twelve metres ahead is three times as far up as four.
    assert rows[0.0] > 10
    assert rows[3.0] == pytest.approx(3 * rows[0.0], rel=0.2)


def _first_client(page: BrowserView):
    deadline = time.monotonic() + 60
    while not page.clients and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2.0)
    return page.clients[0]
