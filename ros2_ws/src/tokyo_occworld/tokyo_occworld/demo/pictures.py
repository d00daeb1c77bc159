"""The report's pictures, each a PNG."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patches import Patch
from PIL import Image, ImageDraw

from occ_core.citymap import CityMap
from occ_core.classes import CLASSES
from occ_core.grid import FRAME_PERIOD_S, TOKYO_GRID
from occ_core.grid_pictures import oblique_view, save_film, top_view
from occ_core.poses import Pose
from occ_core.session import Session
from occ_core.topics import CAMERA_ROWS, CAMERAS
from tokyo_sim.engine.cameras import CameraRenderer, CamerasUnavailable
from tokyo_sim.engine.robot import CameraSpec

matplotlib.use("Agg")
_IN_3D = (520, 18)  # pixels: width of a view, and space between two


def city_from_above(city: Path, path: Path) -> bool:
    """An oblique aerial view of the middle of the city. False, and no picture, where there is no OpenGL."""
    try:
        renderer = CameraRenderer.load(city)
    except CamerasUnavailable:
        return False
    spec = CameraSpec("aerial", "", Pose.identity(), 1400, 788, np.radians(55), 1.0, 3000.0, 1.0)
    middle = np.median(CityMap.load(city).vertices, axis=0)
    pose = Pose.looking(middle + [-230.0, -290.0, 260.0], middle)
    Image.fromarray(renderer.render(spec, pose, [])).save(path)
    renderer.close()
    return True


def six_views(session: Session, path: Path, number: int | None = None) -> bool:
    """The six images of a frame, as they stand around the vehicle. False where a session has no images.

    number: of the frame, the middle one without.
    """
    number = session.numbers[len(session) // 2] if number is None else number
    # Around the robot: what is behind it on its right comes below what is ahead on its left.
    rows = (CAMERA_ROWS[0], tuple(reversed(CAMERA_ROWS[1])))
    if not all(session.image_path(number, channel).exists() for channel in CAMERAS.values()):
        return False
    views = [[np.asarray(Image.open(session.image_path(number, CAMERAS[name]))) for name in row] for row in rows]
    height, width = views[0][0].shape[:2]
    sheet = np.zeros((len(rows) * height, max(map(len, rows)) * width, 3), np.uint8)
    for y, row in enumerate(views):
        for x, view in enumerate(row):
            sheet[y * height : (y + 1) * height, x * width : (x + 1) * width] = view
    Image.fromarray(sheet).save(path)
    return True


def lidar_sweep(session: Session, path: Path) -> None:
    """The sweep of the middle frame in base_footprint: from above coloured by height, and from the right."""
    points = session.points(session.numbers[len(session) // 2])
    figure, (top, side) = plt.subplots(1, 2, figsize=(13, 6), gridspec_kw={"width_ratios": [1, 1.2]})
    shown = top.scatter(points[:, 0], points[:, 1], c=points[:, 2], s=0.4, cmap="viridis", vmin=-1, vmax=25)
    top.set(
        title="from above", xlabel="x forward, m", ylabel="y left, m", xlim=(-60, 60), ylim=(-60, 60), aspect="equal"
    )
    side.scatter(points[:, 0], points[:, 2], c=points[:, 3], s=0.4, cmap="magma", vmin=0, vmax=0.6)
    side.set(title="from the right, coloured by intensity", xlabel="x forward, m", ylabel="z up, m", xlim=(-60, 60))
    figure.colorbar(shown, ax=top, label="z, m", shrink=0.8)
    figure.suptitle(f"{session.name}: {len(points)} returns")
    _save(figure, path)


def truth_beside_forecast(samples: Path, path: Path) -> None:
    """Two rows: what happened and what was forecast, at the current frame and every horizon."""
    with np.load(samples, allow_pickle=False) as data:
        current, truth, forecast = data["current"], data["truth"], data["forecast"]
        name = str(data["session"])
    steps = len(truth)
    figure, axes = plt.subplots(2, steps + 1, figsize=(2.3 * (steps + 1), 5.3))
    half = TOKYO_GRID.upper[0]
    for row, (label, grids) in enumerate((("truth", truth), ("forecast", forecast))):
        for column, grid in enumerate([current, *grids]):
            axes[row, column].imshow(top_view(grid), extent=(half, -half, -half, half))
            axes[row, column].set(xticks=[], yticks=[])
            axes[row, column].set_title("now" if column == 0 else f"{label} +{0.5 * column:.1f} s", fontsize=9)
    used = [info for info in CLASSES[1:] if (truth == info.semantic).any() or (forecast == info.semantic).any()]
    patches = [Patch(color=np.array(info.colour) / 255, label=info.name) for info in used]
    figure.legend(handles=patches, loc="lower center", ncols=len(used), fontsize=8, frameon=False)
    figure.suptitle(f"{name}: 80 m x 80 m about the vehicle, forward is up", fontsize=10)
    _save(figure, path)


def forecast_in_3d(samples: Path, path: Path) -> None:
    """An animated WebP: what happened beside what was forecast, as blocks, from now to the last horizon and again.

    The same forecast as in `truth_beside_forecast`; each step says the IoU of both.
    """
    with np.load(samples, allow_pickle=False) as data:
        current, truth, forecast = data["current"], data["truth"], data["forecast"]
    about = (current > 0) | (truth > 0).any(axis=0) | (forecast > 0).any(axis=0)
    used = [info for info in CLASSES[1:] if any((grid == info.semantic).any() for grid in (current, truth, forecast))]
    frames = []
    for step, (left, right) in enumerate([(current, current), *zip(truth, forecast, strict=True)]):
        views = [oblique_view(TOKYO_GRID, grid, _IN_3D[0], about) for grid in (left, right)]
        height, width = views[0].shape[:2]
        frame = Image.new("RGB", (2 * width + _IN_3D[1], height + 4 * _IN_3D[1]), (255, 255, 255))
        for number, view in enumerate(views):
            frame.paste(Image.fromarray(view), (number * (width + _IN_3D[1]), 2 * _IN_3D[1]))
        draw = ImageDraw.Draw(frame)
        seconds = FRAME_PERIOD_S * step
        came = f"what happened, {seconds:.1f} s later" if step else "now"
        said = f"what was forecast {seconds:.1f} s before: IoU {iou_of(right, left):.0%}" if step else "now"
        for number, words in enumerate((came, said)):
            draw.text((number * (width + _IN_3D[1]) + 8, 8), words, (30, 30, 30), font_size=17)
        x = 8
        for info in used:
            draw.rectangle((x, frame.height - 24, x + 12, frame.height - 12), tuple(info.colour))
            draw.text((x + 17, frame.height - 26), info.name, (30, 30, 30), font_size=13)
            x += 30 + round(draw.textlength(info.name, font_size=13))
        frames.append(frame)
    save_film(frames, path, [1500, *[700] * (len(truth) - 1), 2000], quality=70)


def iou_of(forecast: np.ndarray, truth: np.ndarray) -> float:
    """IoU, occupied or not, of two grids of class ids; 1 where both are empty."""
    either = np.count_nonzero((forecast > 0) | (truth > 0))
    return np.count_nonzero((forecast > 0) & (truth > 0)) / either if either else 1.0


def training_curves(logs: Path, path: Path) -> None:
    """The TensorBoard logs' curves: losses of both stages, codebook use, learning rate, and IoU of all horizons in one.

    What never changes is left out, as are single classes: the evaluation has them.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs))
    events.Reload()
    curves = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"] if not tag.startswith("val_class")}
    panels: dict[str, list[str]] = {}
    for tag, curve in curves.items():
        # A loss that a stage does not have stays at zero.
        if len({scalar.value for scalar in curve}) > 1:
            panels.setdefault(tag.rpartition("_")[0] if tag.startswith("val/") else tag, []).append(tag)
    columns = 5
    rows = int(np.ceil(max(len(panels), 1) / columns))
    figure, axes = plt.subplots(rows, columns, figsize=(3.0 * columns, 2.1 * rows), squeeze=False)
    for axis in axes.ravel()[len(panels) :]:
        axis.axis("off")
    for axis, (title, tags) in zip(axes.ravel(), panels.items(), strict=False):
        for tag in tags:
            # Points, since a line alone does not say how often was looked.
            steps, values = [s.step for s in curves[tag]], [s.value for s in curves[tag]]
            size = float(np.clip(150 / len(steps), 1.5, 6))
            axis.plot(steps, values, lw=0.9, marker=".", ms=size, label=tag.rpartition("_")[2])
        if len(tags) > 1:
            axis.legend(fontsize=5, ncols=2)
        axis.set_title(title, fontsize=8)
        axis.tick_params(labelsize=7)
    _save(figure, path)


def iou_by_horizon(evaluation: dict, path: Path) -> None:
    """IoU and mIoU of forecast and baselines, and how far the forecast is ahead of the better of *copy* and *warp*."""
    scores = evaluation["scores"]
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6))
    titles = (("iou", "IoU, occupied or not, %"), ("miou", "mIoU over classes, %"))
    for axis, (name, title) in zip(axes, titles, strict=False):
        for method, rows in scores.items():
            style = {"lw": 2.4} if method == "forecast" else {"lw": 1.2, "ls": "--"}
            horizons, shares = [r["horizon_s"] for r in rows], [100 * r[name] for r in rows]
            axis.plot(horizons, shares, marker="o", ms=3, label=method.replace("_", "-"), **style)
        # From below the least to above the most, so that differences show: zero would take half of the axis.
        axis.set_ylim(*differing(np.array([[100 * r[name] for r in rows] for rows in scores.values()])))
        axis.set(title=title, xlabel="horizon, s")
        axis.grid(alpha=0.3)
    horizons = np.array([row["horizon_s"] for row in scores["forecast"]])
    for number, (name, label) in enumerate((("iou", "IoU"), ("miou", "mIoU"))):
        axes[2].bar(horizons + (number - 0.5) * 0.16, gains(scores, name), 0.15, label=label)
    axes[2].axhline(0, color="black", lw=0.8)
    axes[2].set(title="points ahead of the better of copy and warp", xlabel="horizon, s", xticks=horizons)
    axes[2].grid(alpha=0.3, axis="y")
    axes[0].legend(fontsize=8)
    axes[2].legend(fontsize=8)
    _save(figure, path)


def gains(scores: dict[str, list[dict]], name: str) -> list[float]:
    """Points, at each horizon, that the forecast is ahead of the better of *copy* and *warp*."""
    rows = zip(scores["forecast"], scores["copy"], scores["warp"], strict=True)
    return [100 * (forecast[name] - max(copy[name], warp[name])) for forecast, copy, warp in rows]


def differing(values: np.ndarray) -> tuple[float, float]:
    """Ends of an axis for percents: a tenth of their spread beyond them, and within 0 to 100."""
    low, high = float(values.min()), float(values.max())
    margin = 0.1 * max(high - low, 1.0)
    return max(low - margin, 0.0), min(high + margin, 100.0)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)
