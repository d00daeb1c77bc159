"""The cameras as one small picture: the front row above, the back row below, as they are mounted."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from occ_core.topics import CAMERA_ROWS, CAMERAS

WIDTH, HEIGHT = 240, 135
_EMPTY = np.full((HEIGHT, WIDTH, 3), 38, np.uint8)
_LINE = 2
_COLUMNS = max(map(len, CAMERA_ROWS))


def small(picture: np.ndarray | bytes) -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8 RGB of (h, w, 3) uint8 RGB or of the bytes of a JPEG. ValueError for other bytes."""
    if isinstance(picture, bytes):
        try:
            image = Image.open(io.BytesIO(picture))
            image.draft("RGB", (WIDTH, HEIGHT))
            image = image.convert("RGB")
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"an image can't be read: {error}") from error
    else:
        # Every n-th pixel first: of 1600 x 900 the filter would read all 4 MB.
        skip = max(picture.shape[0] // (2 * HEIGHT), 1)
        image = Image.fromarray(np.ascontiguousarray(picture[::skip, ::skip]))
    return np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR))


def mosaic(pictures: dict[str, np.ndarray]) -> np.ndarray:
    """All side by side, dark where there is none. pictures: as `small` gives them, by camera name."""
    if unknown := pictures.keys() - CAMERAS.keys():
        raise ValueError(f"no camera '{unknown.pop()}'; there are {', '.join(CAMERAS)}")
    out = np.full((len(CAMERA_ROWS) * (HEIGHT + _LINE) - _LINE, _COLUMNS * (WIDTH + _LINE) - _LINE, 3), 20, np.uint8)
    for row, names in enumerate(CAMERA_ROWS):
        for column, name in enumerate(names):
            top, left = row * (HEIGHT + _LINE), column * (WIDTH + _LINE)
            out[top : top + HEIGHT, left : left + WIDTH] = pictures.get(name, _EMPTY)
    return out
