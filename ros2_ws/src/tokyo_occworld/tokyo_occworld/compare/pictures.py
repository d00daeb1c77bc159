"""Recorded and drawn side by side, as pictures."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from occ_core.topics import CAMERA_ROWS

matplotlib.use("Agg")
_ORDER = (*CAMERA_ROWS[0], *reversed(CAMERA_ROWS[1]))  # around the robot
_VIEW_WIDTH = 480
_BEAM_PIXELS = 6
_MOST_DIFFERENCE_M = 1.0


def draw_ranges(path: Path, recorded: np.ndarray, engine: np.ndarray) -> None:
    """Both: (beams, columns) metres, NaN for none.

    Recorded on top, then the engine's, then the difference: white where they agree, grey where one is missing.
    """
    shown = [_coloured(np.log(np.maximum(image, 0.5)) / np.log(120), "turbo") for image in (recorded, engine)]
    difference = _coloured((recorded - engine) / (2 * _MOST_DIFFERENCE_M) + 0.5, "coolwarm")
    difference[np.isfinite(recorded) != np.isfinite(engine)] = 128
    gap = np.full((2, recorded.shape[1], 3), 255, np.uint8)
    rows = [part for image in (*shown, difference) for part in (_upright(image), gap)][:-1]
    Image.fromarray(np.vstack(rows)).save(path)


def _coloured(values: np.ndarray, name: str) -> np.ndarray:
    """(h, w, 3) uint8 of values from 0 to 1, black where there is none."""
    colours = matplotlib.colormaps[name](np.nan_to_num(np.clip(values, 0, 1)))[..., :3]
    return np.where(np.isfinite(values)[..., None], colours * 255, 0).astype(np.uint8)


def _upright(image: np.ndarray) -> np.ndarray:
    """The highest beam on top, forward in the middle, left on the left."""
    return image[::-1, ::-1].repeat(_BEAM_PIXELS, axis=0)


def draw_views(path: Path, recorded: dict[str, np.ndarray], engine: dict[str, np.ndarray]) -> None:
    """Both: (h, w, 3) uint8 by camera name. Recorded in the upper row, the engine's below."""
    names = [name for name in _ORDER if name in recorded]
    rows = [np.hstack([_small(images[name]) for name in names]) for images in (recorded, engine)]
    Image.fromarray(np.vstack(rows)).save(path)


def _small(picture: np.ndarray) -> np.ndarray:
    width = min(_VIEW_WIDTH, picture.shape[1])
    height = round(picture.shape[0] * width / picture.shape[1])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))
