"""Two pictures of one view by their edges, since two renderers colour the same walls differently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.color import rgb2gray
from skimage.filters import gaussian, sobel
from skimage.registration import phase_cross_correlation
from skimage.transform import resize

_WIDTH = 160
# Of edges: a plain wall in Gazebo had 0.034 at most, from shading and JPEG, real views had 0.46 and more.
_LEAST_CONTRAST = 0.06


@dataclass(frozen=True)
class ViewDifference:
    """correlation: of the edges of both pictures, 1 for the same picture; mirrored: with one of them flipped.

    shift: pixels of the full picture by which one has to move to meet the other. blank: nothing to see in either, as
    against a wall or the sky; the other numbers then say nothing.
    """

    camera: str
    correlation: float
    mirrored: float
    colour: float
    shift: float
    blank: bool


def compare_views(camera: str, recorded: np.ndarray, engine: np.ndarray) -> ViewDifference:
    """Both: (h, w, 3) uint8. ValueError where they differ in size."""
    if recorded.shape != engine.shape:
        raise ValueError(f"{camera}: pictures of {recorded.shape} and {engine.shape} can't be compared")
    a, b = _edges(recorded), _edges(engine)
    blank = min(a.max(), b.max()) < _LEAST_CONTRAST
    moved = (0.0, 0.0) if blank else phase_cross_correlation(a, b, upsample_factor=4)[0]
    scale = recorded.shape[1] / a.shape[1]
    return ViewDifference(
        camera=camera,
        correlation=_correlation(a, b),
        mirrored=_correlation(a, b[:, ::-1]),
        colour=_correlation(*(_small(image[..., 2] / 255 - image[..., 0] / 255.0) for image in (recorded, engine))),
        shift=float(np.hypot(*moved) * scale),
        blank=bool(blank),
    )


def _edges(picture: np.ndarray) -> np.ndarray:
    """(h', w') float: strength of edges in a small grey picture; the root brings weak edges beside strong ones."""
    return gaussian(np.sqrt(sobel(_small(rgb2gray(picture)))), 1.0)


def _small(plane: np.ndarray) -> np.ndarray:
    width = min(_WIDTH, plane.shape[1])
    return resize(plane, (max(round(plane.shape[0] * width / plane.shape[1]), 8), width), anti_aliasing=True)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, 0 where a picture has no contrast."""
    a, b = a - a.mean(), b - b.mean()
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float((a * b).sum() / norm) if norm > 0 else 0.0
