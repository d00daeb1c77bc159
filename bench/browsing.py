"""What the page sends to a browser, counted at the other end of its socket, beside sending every grid anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import viser
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bench.pairs import Row, paired, table
from occ_core.actors import BOX_FACES
from occ_core.citymap import CityMap
from occ_core.classes import COLOURS
from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose, footprint
from occworld_infer.viewer.page import HORIZONS_S, Page
from occworld_infer.viewer.scene_boxes import CUBE
from occworld_infer.viewer.snapshot import PlacedVoxels, PredictedFrame, Snapshot

_KEYFRAMES = 10
_SILENCE_S = 1.5
_SEEN = 8  # of so many voxels of the city's surface LiDAR sees about one


def run(udx: Path, city: Path) -> str:
    """A robot that drives 2 m a keyframe through the city and sees an eighth of its surface."""
    city_map = CityMap.load(city)
    snapshots = [_moment(city_map, float(x)) for x in 2.0 * np.arange(_KEYFRAMES)]
    page, anew = Page(0, ("rover_0",), city_map), _Anew()
    try:
        page.place("rover_0", snapshots[0].base_link, 0.0)
        with _browser(page.url) as ours, _browser(anew.url) as theirs:
            opened = _received(ours)
            _received(theirs)
            page.draw(snapshots[0], snapshots[0])
            anew.draw(snapshots[0])
            _received(ours), _received(theirs)
            for snapshot in snapshots[1:]:
                page.place("rover_0", snapshot.base_link, 0.0)
                page.draw(snapshot, snapshot)
                anew.draw(snapshot)
            sent, sent_anew = _received(ours) / (_KEYFRAMES - 1), _received(theirs) / (_KEYFRAMES - 1)
            page.draw(snapshots[-1], snapshots[-1])
            page.place("rover_0", snapshots[-1].base_link, 0.0)
            again = _received(ours)
        ways = iter(np.tile(np.arange(_KEYFRAMES), 100))
        times = paired(
            lambda: page.draw(snapshots[next(ways)], None), lambda: anew.draw(snapshots[next(ways)]), repeats=_KEYFRAMES
        )
    finally:
        page.close()
        anew.close()
    voxels = round(float(np.mean([len(snapshot.occupancy) for snapshot in snapshots])))
    lines = [
        "| what | kB | beside | kB | ratio |",
        "|---|---|---|---|---|",
        f"| a keyframe of {voxels} voxels and a sweep | {sent / 1e3:.0f} | now and six horizons, made anew"
        f" | {sent_anew / 1e3:.0f} | {sent_anew / sent:.1f} |",
        f"| the same keyframe again | {again / 1e3:.1f} | | | |",
        f"| the page when it is opened; the city has {len(city_map.faces)} triangles | {opened / 1e3:.0f} | | | |",
    ]
    return table([Row("keyframe to the socket", *times, "now and six horizons, made anew")]) + "\n\n" + "\n".join(lines)


def _moment(city: CityMap, x: float) -> Snapshot:
    base_link = Pose(np.array([x, 0.0, city.nearest_ground(x, 0.0) + 0.4]), np.array([1.0, 0, 0, 0]))
    level = footprint(base_link, city.nearest_ground(x, 0.0))
    every = PlacedVoxels.of_classes(TOKYO_GRID, city.occupancy(TOKYO_GRID, level, [])[0], level)
    now = PlacedVoxels(TOKYO_GRID, level, every.numbers[::_SEEN], every.labels[::_SEEN])
    lidar = level.apply(now.centres).astype(np.float32)
    return Snapshot(
        "rover_0", x / 4, base_link, now, lidar, forecast=PredictedFrame(HORIZONS_S, (now,) * len(HORIZONS_S))
    )


class _Anew:
    """Every horizon a node of its own, made anew with each keyframe, shown or not."""

    def __init__(self) -> None:
        self._server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        self.url = f"http://127.0.0.1:{self._server.get_port()}"

    def draw(self, snapshot: Snapshot) -> None:
        assert snapshot.forecast is not None
        for number, voxels in enumerate((snapshot.occupancy, *snapshot.forecast.voxels)):
            self._server.scene.add_batched_meshes_simple(
                f"/{number}", CUBE, BOX_FACES, np.tile(np.array([1.0, 0, 0, 0], np.float32), (len(voxels), 1)),
                voxels.centres, batched_colors=COLOURS[voxels.labels], visible=number == 0,
            )  # fmt: skip

    def close(self) -> None:
        self._server.stop()


def _browser(url: str) -> ClientConnection:
    protocol = Subprotocol(f"viser-v{viser.__version__}")
    return connect(url.replace("http", "ws"), subprotocols=[protocol], max_size=None, compression=None)


def _received(browser: ClientConnection) -> int:
    """Bytes until nothing has come for a while."""
    total = 0
    while True:
        try:
            total += len(browser.recv(timeout=_SILENCE_S))
        except TimeoutError:
            return total
