"""The report's pictures, each a PNG."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patches import Patch
from PIL import Image

from occ_core.citymap import CityMap
from occ_core.classes import CLASSES
from occ_core.grid import TOKYO_GRID
from occ_core.grid_pictures import top_view
from occ_core.poses import Pose
from occ_core.session import Session
from occ_core.topics import CAMERA_ROWS, CAMERAS
from tokyo_sim.engine.cameras import CameraRenderer, CamerasUnavailable
from tokyo_sim.engine.robot import CameraSpec

matplotlib.use("Agg")


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


def training_curves(logs: Path, path: Path) -> None:
    """Every scalar of the TensorBoard logs that is a curve: losses of both stages, codebook use, learning rate."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs))
    events.Reload()
    curves = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    # A loss that a stage does not have stays at zero.
    tags = [tag for tag, curve in curves.items() if len({scalar.value for scalar in curve}) > 1]
    columns = 5
    rows = int(np.ceil(max(len(tags), 1) / columns))
    figure, axes = plt.subplots(rows, columns, figsize=(3.0 * columns, 2.1 * rows), squeeze=False)
    for axis in axes.ravel()[len(tags) :]:
        axis.axis("off")
    for axis, tag in zip(axes.ravel(), tags, strict=False):
        scalars = curves[tag]
        axis.plot(
            [s.step for s in scalars], [s.value for s in scalars], lw=0.9, marker="." if len(scalars) < 8 else None
        )
        axis.set_title(tag, fontsize=8)
        axis.tick_params(labelsize=7)
    _save(figure, path)


def iou_by_horizon(evaluation: dict, path: Path) -> None:
    """IoU and mIoU of the forecast beside its baselines."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    for axis, (name, title) in zip(axes, (("iou", "IoU, occupied or not"), ("miou", "mIoU over classes")), strict=True):
        for method, rows in evaluation["scores"].items():
            style = {"lw": 2.4} if method == "forecast" else {"lw": 1.2, "ls": "--"}
            axis.plot([r["horizon_s"] for r in rows], [r[name] for r in rows], marker="o", ms=3, label=method, **style)
        # As high as the best of them, so that differences show.
        most = max(r[name] for rows in evaluation["scores"].values() for r in rows)
        axis.set(title=title, xlabel="horizon, s", ylim=(0, 1.1 * most or 1))
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)
