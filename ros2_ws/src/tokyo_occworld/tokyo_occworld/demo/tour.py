"""The pictures of docs/tour.md, small enough for a repository, out of what `make demo` has left.

`python -m tokyo_occworld.demo.tour out/demo docs/pictures` draws them anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from occ_core.classes import CLASSES
from occ_core.grid_pictures import oblique_view, top_view
from occ_core.session import Session, find_sessions
from tokyo_occworld.demo.pictures import city_from_above, iou_by_horizon, six_views

LARGEST = 250_000  # bytes of a picture
_WIDTH, _QUALITY = 1100, 82
_SHOWN_STEPS = (1, 3, 5)  # of the forecast: 1, 2 and 3 s


def draw_tour(demo: Path, out: Path) -> list[Path]:
    """Draw every picture; the files. FileNotFoundError where the demo has not run in that folder."""
    samples, scores = demo / "evaluation/samples.npz", demo / "evaluation/metrics.json"
    if missing := [path for path in (demo / "city/city.json", samples, scores) if not path.is_file()]:
        raise FileNotFoundError(f"no {missing[0]}: run `make demo` first, or name its folder")
    out.mkdir(parents=True, exist_ok=True)
    rovers = [session for session in find_sessions(demo / "sessions") if session.name.startswith("rover")]
    session, number = liveliest(rovers)
    drawn = []
    if city_from_above(demo / "city", out / "tour_city.png"):
        drawn.append(_as_jpeg(out / "tour_city.png"))
    if six_views(session, out / "tour_cameras.png", number):
        drawn.append(_as_jpeg(out / "tour_cameras.png"))
    sweep_to_grid(session, number, out / "tour_grid.png")
    now_and_later(samples, out / "tour_forecast.png")
    iou_by_horizon(json.loads(scores.read_text()), out / "tour_scores.png")
    return [*drawn, *(out / f"tour_{name}.png" for name in ("grid", "forecast", "scores"))]


def liveliest(sessions: list[Session]) -> tuple[Session, int]:
    """The frame, of every fifth, with the most classes in it, then with the most occupied voxels."""

    def worth(frame: tuple[Session, int]) -> tuple[int, int]:
        session, number = frame
        classes = session.classes(number)
        return len(np.unique(classes)), np.count_nonzero(classes)

    return max(((session, number) for session in sessions for number in session.numbers[::5]), key=worth)


def sweep_to_grid(session: Session, number: int, path: Path) -> None:
    """One frame: its sweep from above, its grid from above and from the side."""
    points, grid, classes = session.points(number), session.info.grid, session.classes(number)
    figure = Figure(figsize=(12, 4.6), dpi=90, layout="constrained")
    sweep, above, oblique = figure.subplots(1, 3, width_ratios=[1, 1, 1.4])
    extent = (grid.upper[1], grid.lower[1], grid.lower[0], grid.upper[0])
    sweep.scatter(points[:, 1], points[:, 0], c=points[:, 2], s=0.3, cmap="viridis", vmin=-1, vmax=15)
    sweep.set(title="one sweep, from above", xlim=extent[:2], ylim=extent[2:], aspect="equal")
    above.imshow(top_view(classes), extent=extent)
    above.set(title="3 s of sweeps, as voxels")
    oblique.imshow(oblique_view(grid, classes))
    oblique.set(title="the same from the side")
    for axes in (sweep, above, oblique):
        axes.set(xticks=[], yticks=[])
    _legend(figure, np.unique(classes))
    _save(figure, path)


def now_and_later(samples: Path, path: Path) -> None:
    """What is now, what happened 1, 2 and 3 s later, and what was forecast of it; from above."""
    with np.load(samples, allow_pickle=False) as data:
        current, truth, forecast = data["current"], data["truth"], data["forecast"]
    figure = Figure(figsize=(12, 6.6), dpi=80, layout="constrained")
    rows = figure.subplots(2, 1 + len(_SHOWN_STEPS))
    for row, (name, grids) in zip(rows, (("happened", truth), ("forecast", forecast)), strict=True):
        for axes, step in zip(row, (None, *_SHOWN_STEPS), strict=True):
            axes.imshow(top_view(current if step is None else grids[step]))
            axes.set(title="now" if step is None else f"{name}, {0.5 * (step + 1):g} s later", xticks=[], yticks=[])
    _legend(figure, np.unique([*current.ravel(), *forecast[list(_SHOWN_STEPS)].ravel()]))
    _save(figure, path)


def _legend(figure: Figure, classes: np.ndarray) -> None:
    shown = [info for info in CLASSES[1:] if info.semantic in classes]
    patches = [Patch(color=np.array(info.colour) / 255, label=info.name) for info in shown]
    figure.legend(handles=patches, loc="outside lower center", ncols=max(len(shown), 1), fontsize=8, frameon=False)


def _save(figure: Figure, path: Path) -> None:
    """A PNG of 256 colours: these pictures have few."""
    FigureCanvasAgg(figure).print_png(str(path))
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(256)
    small.save(path, optimize=True)


def _as_jpeg(path: Path) -> Path:
    """A JPEG of at most _WIDTH pixels in place of a PNG."""
    with Image.open(path) as image:
        image.thumbnail((_WIDTH, _WIDTH))
        image.convert("RGB").save(path.with_suffix(".jpg"), quality=_QUALITY, optimize=True)
    path.unlink()
    return path.with_suffix(".jpg")


def main(argv: list[str] | None = None) -> int:
    """Exit code 2 and one sentence where there is no demo to draw, 1 where a picture became too large."""
    parser = argparse.ArgumentParser(description="Draw the pictures of docs/tour.md from the folder of `make demo`.")
    parser.add_argument("demo", type=Path, help="folder of the demo, such as out/demo")
    parser.add_argument("out", type=Path, help="folder for the pictures, such as docs/pictures")
    args = parser.parse_args(argv)
    try:
        pictures = draw_tour(args.demo, args.out)
    except FileNotFoundError as error:
        print(f"tour: {error}", file=sys.stderr)
        return 2
    for path in pictures:
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return int(any(path.stat().st_size > LARGEST for path in pictures))


if __name__ == "__main__":
    sys.exit(main())
