"""The cameras as a strip of small pictures, and one of them large: JPEGs, shown as HTML."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

from occ_core.topics import CAMERA_ROWS, CAMERAS

LARGEST = (640, 360)
"""Pixels that a picture is kept in at most, width and height."""
NAMES: dict[str, str] = {camera: camera.replace("_", " ") for row in CAMERA_ROWS for camera in row}
"""Camera -> what is written on its button; those that look ahead first, each row from left to right."""
_QUALITY = 75
_TILE = "width:100%;aspect-ratio:16/9;border-radius:3px;background:#262626"


def kept(picture: np.ndarray | bytes) -> bytes:
    """A JPEG within LARGEST of (h, w, 3) uint8 RGB or of the bytes of a JPEG. ValueError for other bytes."""
    if isinstance(picture, bytes):
        try:
            image = Image.open(io.BytesIO(picture))
            image.draft("RGB", LARGEST)
            image = image.convert("RGB")
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"an image can't be read: {error}") from error
    else:
        # Every n-th pixel first: of 1600 x 900 the filter would read all 4 MB.
        skip = max(picture.shape[0] // LARGEST[1], 1)
        image = Image.fromarray(np.ascontiguousarray(picture[::skip, ::skip]))
    image.thumbnail(LARGEST, Image.Resampling.BILINEAR)
    written = io.BytesIO()
    image.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def strip(pictures: Mapping[str, bytes]) -> str:
    """All side by side, dark where there is none; a click on one presses the button that has its name.

    pictures: JPEGs by camera, as `kept` gives them. ValueError for a camera that there is not.
    """
    if unknown := pictures.keys() - CAMERAS.keys():
        raise ValueError(f"no camera '{unknown.pop()}'; there are {', '.join(CAMERAS)}")
    tiles = "".join(_tile(camera, pictures.get(camera)) for camera in NAMES)
    return f'<div style="display:grid;grid-template-columns:repeat({len(NAMES)},1fr);gap:3px;padding:3px">{tiles}</div>'


def large(camera: str, jpeg: bytes | None) -> str:
    """One picture as wide as its panel."""
    if jpeg is None:
        return f'<div style="padding:.5em">no image of {NAMES[camera]}</div>'
    return f'<img src="{_url(jpeg)}" alt="{NAMES[camera]}" decoding="sync" style="width:100%;display:block">'


def _tile(camera: str, jpeg: bytes | None) -> str:
    if jpeg is None:
        return f'<div style="{_TILE}"></div>'
    press = f"[...document.querySelectorAll('button')].find(b => b.innerText.trim() === '{NAMES[camera]}')?.click()"
    # The strip is made anew with each frame: decoded at once, or it would blink, and pressed when the button goes down,
    # or the picture may be another one by the time that it comes up.
    return (
        f'<img src="{_url(jpeg)}" alt="{NAMES[camera]}" title="{NAMES[camera]}: click to enlarge" decoding="sync"'
        f' onpointerdown="{press}" style="{_TILE};cursor:zoom-in;object-fit:cover">'
    )


def _url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
