"""Pictures of a labelled grid: from above, as blocks seen obliquely, and as films of such pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from occ_core.classes import COLOURS
from occ_core.grid import VoxelGrid

_AZIMUTH, _ELEVATION = np.radians(25.0), np.radians(38.0)
# The three faces that the oblique view shows: axis, side, brightness.
_FACES = ((2, +1, 1.0), (0, -1, 0.82), (1, -1, 0.66))
_SMOOTH = 2


def top_view(classes: np.ndarray) -> np.ndarray:
    """(X, Y, Z) class ids to an RGB picture: the highest occupied voxel of each column, forward up, left on the left.

    Brightness grows with height, so that a wall stands out from the street.
    """
    occupied = classes > 0
    top = occupied.shape[2] - 1 - np.argmax(occupied[:, :, ::-1], axis=2)
    labels = np.take_along_axis(classes, top[:, :, None], axis=2)[:, :, 0]
    shade = np.clip(0.75 + top / 40.0, 0.75, 1.15)[:, :, None]
    picture = np.clip(COLOURS[labels] * np.where(labels[:, :, None] > 0, shade, 1.0), 0, 255).astype(np.uint8)
    return picture[::-1, ::-1]


def oblique_view(
    grid: VoxelGrid, classes: np.ndarray, width: int = 900, about: np.ndarray | None = None
) -> np.ndarray:  # fmt: skip
    """(height, width, 3) uint8: every occupied voxel as a block, from behind, above and the right, without perspective.

    classes: (X, Y, Z) class ids. about: (X, Y, Z) bool, voxels that the picture has room for, those of classes among
    them, so that several pictures show the same; the occupied ones without. Painter's algorithm, far blocks first.
    """
    level = np.cos(_ELEVATION)
    ahead = np.array([level * np.cos(_AZIMUTH), level * np.sin(_AZIMUTH), -np.sin(_ELEVATION)])
    right = np.array([np.sin(_AZIMUTH), -np.cos(_AZIMUTH), 0.0])
    screen = np.stack([right, -np.cross(right, ahead)])
    corners = np.array(np.meshgrid(*zip(grid.lower, grid.upper, strict=True), indexing="ij")).reshape(3, -1).T
    cells = np.argwhere(classes > 0)
    room = cells if about is None else np.argwhere(about)
    shown = (grid.centers(room) if len(room) else corners) @ screen.T
    low, high = shown.min(axis=0) - 2.0, shown.max(axis=0) + 2.0
    scale = _SMOOTH * width / (high[0] - low[0])
    image = Image.new("RGB", tuple(np.ceil((high - low) * scale).astype(int)), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    cells = cells[np.argsort(-(grid.centers(cells) @ ahead), kind="stable")]
    padded = np.pad(classes > 0, 1)
    faces = [
        (_face(grid, axis, side) @ screen.T * scale, light, _exposed(padded, cells, axis, side))
        for axis, side, light in _FACES
    ]
    origins = (grid.centers(cells) @ screen.T - low) * scale
    colours = COLOURS[classes[tuple(cells.T)]]
    for number, origin in enumerate(origins):
        for outline, light, exposed in faces:
            if exposed[number]:
                draw.polygon((origin + outline).ravel().tolist(), fill=tuple((colours[number] * light).astype(int)))
    return np.asarray(image.resize((image.width // _SMOOTH, image.height // _SMOOTH), Image.Resampling.LANCZOS))


def _face(grid: VoxelGrid, axis: int, side: int) -> np.ndarray:
    """(4, 3) metres: outline of a voxel's face about the voxel's centre."""
    half = np.array(grid.voxel) / 2
    outline = np.zeros((4, 3))
    others = [a for a in range(3) if a != axis]
    outline[:, others] = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half[others]
    outline[:, axis] = side * half[axis]
    return outline


def _exposed(padded: np.ndarray, cells: np.ndarray, axis: int, side: int) -> np.ndarray:
    """(n,) bool: is the neighbour of a voxel at this face empty? padded: bool grid with one empty layer around."""
    neighbour = cells + 1
    neighbour[:, axis] += side
    return ~padded[tuple(neighbour.T)]


def save_film(frames: Sequence[Image.Image], path: Path, milliseconds: int | Sequence[int], quality: int) -> None:
    """Write an animated WebP that repeats. milliseconds: that frames are shown, or each of them. quality: 0-100."""
    shown = milliseconds if isinstance(milliseconds, int) else list(milliseconds)
    frames[0].save(
        path, "WEBP", save_all=True, append_images=frames[1:], duration=shown, loop=0, quality=quality, method=4
    )  # fmt: skip
