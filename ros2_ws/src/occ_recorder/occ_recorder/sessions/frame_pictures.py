"""Pictures of frames: six cameras, the grid from above and in three dimensions, the LiDAR; a PNG each and a page."""

from __future__ import annotations

import html
import json
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from occ_core.classes import CLASSES
from occ_core.grid_pictures import oblique_view, top_view
from occ_core.progress import Steps
from occ_core.session import Session
from occ_core.topics import CAMERA_ROWS, CAMERAS

PICTURES_FILE = "pictures.json"


def view_session(session: Session, count: int, out: Path) -> list[Path]:
    """Draw `count` frames, evenly spaced, below `out`; `index.html` there shows them all. Returns the PNG files."""
    folder = out / session.name
    folder.mkdir(parents=True, exist_ok=True)
    chosen = np.unique(np.linspace(0, len(session) - 1, min(count, len(session))).round().astype(int))
    pictures = []
    for index in Steps(chosen, session.name, unit="picture", leave=False):
        number = session.numbers[index]
        pictures.append(folder / f"{number:06d}.png")
        draw_frame(session, number, pictures[-1])
    return pictures


def write_page(out: Path, pictures: dict[str, list[Path]]) -> Path:
    """One page with the pictures by session."""
    body = [
        f"<h2>{html.escape(name)}</h2>\n" + "\n".join(f'<img src="{p.relative_to(out).as_posix()}">' for p in files)
        for name, files in pictures.items()
    ]
    style = "body{font:16px system-ui;margin:2em auto;max-width:1100px}img{width:100%;margin:0 0 1.5em}"
    page = f'<!doctype html><meta charset="utf-8"><title>Sessions</title><style>{style}</style>\n' + "\n".join(body)
    path = out / "index.html"
    path.write_text(page + "\n")
    (out / PICTURES_FILE).write_text(json.dumps(sorted(pictures), indent=1))  # by which this folder is known
    return path


def draw_frame(session: Session, number: int, path: Path) -> None:
    """One frame as a PNG. SessionError for a frame that can't be read."""
    state, occupancy = session.state(number), session.occupancy(number)
    seen = any(session.image_path(number, channel).exists() for channel in CAMERAS.values())
    figure = Figure(figsize=(14, 11.4 if seen else 6.0), dpi=80, layout="constrained")
    rows = figure.subfigures(2 if seen else 1, 1, height_ratios=[1, 0.95] if seen else [1], squeeze=False)[:, 0]
    if seen:
        panels = rows[0].subplots(len(CAMERA_ROWS), max(map(len, CAMERA_ROWS)), squeeze=False)
        for axes, cameras in zip(panels, CAMERA_ROWS, strict=True):
            for panel in axes[len(cameras) :]:
                panel.set_axis_off()
            for panel, camera in zip(axes, cameras, strict=False):
                _camera(panel, session.image_path(number, CAMERAS[camera]), camera)
    above, oblique, lidar = rows[-1].subplots(1, 3, width_ratios=[1, 1.35, 1])
    grid = session.info.grid
    extent = (grid.upper[1], grid.lower[1], grid.lower[0], grid.upper[0])
    above.imshow(top_view(occupancy.classes), extent=extent)
    above.set(title="occupancy from above, forward is up", xlabel="y left, m", ylabel="x forward, m")
    oblique.imshow(oblique_view(grid, occupancy.classes))
    oblique.set(title=f"{np.count_nonzero(occupancy.classes)} occupied voxels, {session.info.occupancy}")
    oblique.axis("off")
    _lidar(lidar, session.points(number), extent)
    used = [info for info in CLASSES[1:] if (occupancy.classes == info.semantic).any()]
    patches = [Patch(color=np.array(info.colour) / 255, label=info.name) for info in used]
    rows[-1].legend(handles=patches, loc="outside lower center", ncols=max(len(used), 1), frameon=False, fontsize=9)
    speed, turn = np.linalg.norm(state.linear), np.degrees(state.angular[2])
    figure.suptitle(f"{session.name}, frame {number}: {state.stamp:.2f} s, {speed:.1f} m/s, {turn:+.0f}°/s")
    FigureCanvasAgg(figure).print_png(str(path))


def _camera(axes: Axes, path: Path, camera: str) -> None:
    axes.axis("off")
    axes.set_title(camera.replace("_", " ") if path.exists() else f"{camera.replace('_', ' ')}: no image", fontsize=9)
    if path.exists():
        with Image.open(path) as image:
            image.thumbnail((640, 640))
            axes.imshow(image)


def _lidar(axes: Axes, points: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    """points: (n, 4) in base_footprint, drawn from above and coloured by height."""
    axes.scatter(points[:, 1], points[:, 0], c=points[:, 2], s=0.3, cmap="viridis", vmin=-1, vmax=20)
    axes.set(title=f"LiDAR, {len(points)} points by height", xlim=extent[:2], ylim=extent[2:], aspect="equal")
    axes.set(xlabel="y left, m")
