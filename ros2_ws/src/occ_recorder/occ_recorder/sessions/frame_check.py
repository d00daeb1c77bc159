"""Is what a file of a frame holds what a frame needs? Each check says what is wrong, or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from occ_core.classes import NUM_CLASSES
from occ_core.frame_files import SessionError, read_imu, read_occupancy, read_points, read_state
from occ_core.grid import VoxelGrid


def pose_problems(path: Path) -> Iterator[str]:
    """Of a pose file: unreadable, not finite, or saying one thing by name and another in `pose_13d`."""
    try:
        state = read_state(path)
    except SessionError as error:
        yield _without(path, error)
        return
    if not np.isfinite([state.stamp, *state.linear, *state.angular]).all():
        yield "a time or velocity is not finite"
    vector = np.asarray(json.loads(path.read_text()).get("pose_13d", []), dtype=object)
    try:
        agrees = np.allclose(vector.astype(float), state.pose_13d, atol=1e-6)
    except (TypeError, ValueError):
        agrees = False
    if not agrees:
        yield "pose_13d is not the pose and velocity that are given by name"


def lidar_problems(path: Path) -> Iterator[str]:
    """Of a file of points: unreadable, of another type, not finite."""
    yield from _table_problems(path, read_points, np.dtype(np.float32))


def imu_problems(path: Path) -> Iterator[str]:
    """Of a file of IMU samples: unreadable, of another type, not finite, or with time going backwards."""
    yield from _table_problems(path, read_imu, np.dtype(np.float64))


def _table_problems(path: Path, read, dtype: np.dtype) -> Iterator[str]:
    try:
        table = read(path)
    except SessionError as error:
        yield _without(path, error)
        return
    if table.dtype != dtype:
        yield f"{table.dtype} numbers, {dtype} is wanted"
    elif not np.isfinite(table).all():
        yield "numbers that are not finite"


def occupancy_problems(path: Path, grid: VoxelGrid) -> Iterator[str]:
    """Of a grid file: unreadable, of another shape or type, or with classes that there are not."""
    try:
        occupancy = read_occupancy(path, grid)
    except SessionError as error:
        yield _without(path, error)
        return
    for name, array, dtype in (
        ("occupancy", occupancy.classes, np.dtype(np.uint8)),
        ("instance", occupancy.instance, np.dtype(np.uint16)),
    ):
        if array.dtype != dtype:
            yield f"{name} has {array.dtype} numbers, {dtype} is wanted"
    if occupancy.classes.dtype.kind in "iu" and occupancy.classes.max(initial=0) >= NUM_CLASSES:
        yield f"class {occupancy.classes.max()}, the highest is {NUM_CLASSES - 1}"


def image_problems(path: Path, size: tuple[int, int] | None) -> Iterator[str]:
    """Of a JPEG: unreadable, cut short, or of another width and height than the camera's other images."""
    try:
        with Image.open(path) as image:
            image.load()
            found = image.size
            if image.format != "JPEG":
                yield f"a {image.format} image, JPEG is wanted"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        yield f"damaged, {error}".replace(str(path), path.name)
        return
    if size is not None and found != size:
        yield f"{found[0]} x {found[1]} pixels, the camera's other images have {size[0]} x {size[1]}"


def _without(path: Path, error: SessionError) -> str:
    """The message less the path, which the report names already."""
    return str(error).removeprefix(f"{path}: ")
