"""A drive through a city with what was forecast beside what came, as a moving picture.

`python -m tokyo_occworld.film out/osaka docs/pictures/forecast.webp` records a drive, forecasts from it with the model
that ships, and draws both over the city. The same seed gives the same film.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from occ_core.actors import BOX_FACES
from occ_core.classes import CLASSES, COLOURS
from occ_core.grid import FRAME_PERIOD_S
from occ_core.grid_pictures import save_film
from occ_core.poses import Pose
from occ_core.session import Session
from occworld.checkpoint_file import CheckpointError
from occworld.forecaster import Forecaster
from occworld.motion import extrapolate, from_pose
from occworld.warp import resample_voxels
from occworld_infer.shipped import shipped_checkpoint
from occworld_infer.viewer.session_snapshots import session_snapshots
from occworld_infer.viewer.snapshot import PlacedVoxels, Snapshot
from tokyo_city.world import CITY_FILE
from tokyo_occworld.collecting import Collection, collect
from tokyo_sim.engine.cameras import CameraRenderer, CamerasUnavailable
from tokyo_sim.engine.meshes import shaded
from tokyo_sim.engine.movables import Movable
from tokyo_sim.engine.robot import CameraSpec

LARGEST = 3_000_000
"""Bytes of a film: what a README may ask of its readers."""
METHODS = ("forecast", "copy", "warp")
_PANE = (460, 400)  # pixels, of either side
_HEAD, _FOOT, _GAP = 30, 50, 4
_EYE, _LOOK_AT = (-34.0, 0.0, 44.0), (6.0, 0.0, 0.0)  # metres in the footprint
_SMALLER = 0.94  # of a voxel, so that each can be told
_DIMMED = 0.8  # colours of voxels, which the sun makes brighter than those of the legend
_QUALITIES = (82, 74, 66, 58, 50, 42)
_INK, _PAPER, _FAINT = (236, 238, 242), (24, 27, 34), (160, 166, 178)
_CORNERS = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


@dataclass(frozen=True)
class Compared:
    """A forecast and what came. counts: (3, 2) int64, by METHODS: voxels in both and in either."""

    came: Snapshot
    forecast: PlacedVoxels
    counts: np.ndarray

    @property
    def ious(self) -> np.ndarray:
        """(3,) by METHODS."""
        return self.counts[:, 0] / np.maximum(self.counts[:, 1], 1)


def compared(snapshots: Sequence[Snapshot], ahead: float) -> list[Compared]:
    """Each snapshot that was forecast `ahead` seconds before, with the baselines of that moment.

    snapshots: of one robot, FRAME_PERIOD_S apart. ahead: seconds, whole periods.
    """
    steps, found = round(ahead / FRAME_PERIOD_S), []
    for number in range(steps + 1, len(snapshots)):
        came, made, before = snapshots[number], snapshots[number - steps], snapshots[number - steps - 1]
        forecast = made.forecast.at(ahead) if made.forecast is not None else None
        if forecast is None:
            continue
        now, grid = made.occupancy, made.occupancy.grid
        history = np.array([from_pose(before.occupancy.frame), from_pose(now.frame)])
        warped = resample_voxels(grid, now.numbers, extrapolate(history, steps)[-1])
        said = (forecast.numbers, now.numbers, warped)
        found.append(Compared(came, forecast, np.array([_overlap(voxels, came.occupancy.numbers) for voxels in said])))
    return found


def _overlap(voxels: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    both = len(np.intersect1d(voxels, truth, assume_unique=True))
    return both, len(voxels) + len(truth) - both


def drive_ious(comparisons: Sequence[Compared]) -> np.ndarray:
    """(3,) by METHODS: over all voxels of a drive together, as the learner's evaluator counts."""
    both, either = np.sum([comparison.counts for comparison in comparisons], axis=0).T
    return both / np.maximum(either, 1)


def voxel_mesh(voxels: PlacedVoxels) -> np.ndarray:
    """`meshes.shaded` rows of a cube for each voxel, in the grid's frame, in the colours of the classes, dimmed."""
    cubes = voxels.centres[:, None] + _CORNERS * np.array(voxels.grid.voxel) * _SMALLER
    triangles = cubes[:, BOX_FACES].reshape(-1, 3, 3)
    each = len(BOX_FACES)
    colours = _DIMMED * COLOURS[voxels.labels]
    return shaded(triangles, np.repeat(colours, each, axis=0), np.repeat(voxels.labels, each))


class Film:
    """Draws frames: what came on the left, what had been forecast on the right, over the city."""

    def __init__(self, city: Path, ahead: float, credit: str) -> None:
        """ahead: seconds. credit: of the city's data. CamerasUnavailable where there is no OpenGL."""
        self._renderer, self._ahead, self._credit = CameraRenderer.load(city), ahead, credit
        width, height = _PANE
        self._spec = CameraSpec("film", "", Pose.identity(), width, height, np.radians(60), 1.0, 1500.0, 1.0)

    def frame(self, comparison: Compared) -> Image.Image:
        """The next frame, both sides from behind the robot.

        Voxels are drawn where they were seen and where they were forecast in map. IoU compares each grid in its own
        footprint, as OccWorld does, so that it counts where the robot was expected to be, too.
        """
        came, (width, height) = comparison.came, _PANE
        optical = Pose.looking(*came.occupancy.frame.apply(np.array([_EYE, _LOOK_AT])))
        picture = Image.new("RGB", (2 * width + _GAP, _HEAD + height + _FOOT), _PAPER)
        for number, voxels in enumerate((came.occupancy, comparison.forecast)):
            movables = [Movable(voxel_mesh(voxels), voxels.frame)] if len(voxels) else []
            pixels = self._renderer.render(self._spec, optical, movables)
            picture.paste(Image.fromarray(pixels), (number * (width + _GAP), _HEAD))
        self._write(picture, comparison)
        return picture

    def _write(self, picture: Image.Image, comparison: Compared) -> None:
        draw, (width, height) = ImageDraw.Draw(picture), _PANE
        right, low = width + _GAP, _HEAD + height
        draw.text((10, 6), f"what came, {comparison.came.stamp:.1f} s", _INK, font_size=17)
        draw.text((right + 10, 6), f"what was forecast of it {self._ahead:g} s before", _INK, font_size=17)
        forecast, copy, warp = 100 * comparison.ious
        words = f"IoU {forecast:.0f}%   (nothing changes {copy:.0f}%, moved on {warp:.0f}%)"
        draw.text((right + 10, low + 6), words, _INK, font_size=16)
        draw.text((right + 10, low + 29), self._credit, _FAINT, font_size=11)
        labels = np.union1d(comparison.came.occupancy.labels, comparison.forecast.labels)
        x, y = 10, low + 8
        for label in labels[labels > 0].tolist():
            name = CLASSES[label].name.replace("_", " / ")
            wide = 20 + draw.textlength(name, font_size=12)
            if x + wide > width:
                x, y = 10, y + 20
            draw.rectangle((x, y + 1, x + 11, y + 12), tuple(CLASSES[label].colour))
            draw.text((x + 16, y - 1), name, _INK, font_size=12)
            x += wide + 10

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._renderer.close()


def save(frames: Sequence[Image.Image], path: Path, milliseconds: int, largest: int = LARGEST) -> int:
    """Write an animated WebP that repeats, in the best quality that keeps it small; its bytes. ValueError where none
    does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for quality in _QUALITIES:
        save_film(frames, path, milliseconds, quality)
        if (size := path.stat().st_size) <= largest:
            return size
    raise ValueError(f"{path}: {size / 1e6:.1f} MB at the lowest quality, at most {largest / 1e6:g} MB are wanted")


def recorded(city: Path, robot: str, frames: int, seed: int, folder: Path) -> Session:
    """One robot's drive, recorded into a folder. robot: drone or rover."""
    sessions = [Session.open(made.folder) for made in collect(city, folder, Collection(2, frames, seed=seed))]
    return next(session for session in sessions if session.info.agent.startswith(robot))


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="film", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("city", type=Path, help="folder of the imported city")
    parser.add_argument("out", type=Path, help="the film, a .webp")
    parser.add_argument("--checkpoint", type=Path, help="model to forecast with (default: the one that ships)")
    parser.add_argument("--robot", choices=("drone", "rover"), default="drone", help="default: %(default)s")
    parser.add_argument("--ahead", type=float, default=2.0, help="seconds, of what is shown (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=40, help="that are recorded, 2 a second (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of place and traffic (default: %(default)s)")
    parser.add_argument("--pace", type=float, default=2.5, help="times real time (default: %(default)s)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Exit code 2 and one sentence for what can't be filmed."""
    args = _arguments(argv)
    try:
        return _run(args)
    except (CheckpointError, ValueError, OSError, CamerasUnavailable) as error:
        print(f"film: {error}", file=sys.stderr)
        return 2


def _run(args: argparse.Namespace) -> int:
    if args.out.suffix != ".webp":
        raise ValueError(f"{args.out}: a film ends in .webp")
    if not (args.city / CITY_FILE).is_file():
        raise ValueError(f"no imported city in {args.city}: `tokyo city` makes one")
    forecaster = Forecaster.load(args.checkpoint or shipped_checkpoint())
    if not any(abs(args.ahead - horizon) < 1e-3 for horizon in forecaster.horizons_s):
        wanted = ", ".join(f"{horizon:g}" for horizon in forecaster.horizons_s)
        raise ValueError(f"--ahead {args.ahead:g}: one of {wanted} is wanted")
    credit = json.loads((args.city / CITY_FILE).read_text())["attribution"]
    film = Film(args.city, args.ahead, credit.split(",")[0])
    with tempfile.TemporaryDirectory() as folder:
        session = recorded(args.city, args.robot, args.frames, args.seed, Path(folder))
        snapshots = list(session_snapshots([session], forecaster))
    for horizon in forecaster.horizons_s:
        if ious := compared(snapshots, horizon):
            said = ", ".join(f"{name} {100 * iou:.1f}%" for name, iou in zip(METHODS, drive_ious(ious), strict=True))
            print(f"{horizon:g} s ahead: IoU of {len(ious)} forecasts: {said}")
    shown = compared(snapshots, args.ahead)
    if not shown:
        raise ValueError(f"--frames {args.frames}: too few for a forecast {args.ahead:g} s ahead to come true")
    frames = [film.frame(comparison) for comparison in shown]
    film.close()
    size = save(frames, args.out, round(1000 * FRAME_PERIOD_S / args.pace))
    print(f"{args.out}: {len(frames)} frames, {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
