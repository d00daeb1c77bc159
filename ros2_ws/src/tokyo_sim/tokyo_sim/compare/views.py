"""Two pictures of one view by their edges, since two renderers colour the same walls differently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.color import rgb2gray
from skimage.filters import gaussian, sobel
from skimage.registration import phase_cross_correlation
from skimage.transform import resize

_WIDTH = 160
_LEAST_CONTRAST = 0.01


@dataclass(frozen=True)
class ViewDifference:
    """correlation: of the edges of both pictures, 1 for the same picture; mirrored: with one of them flipped.

    shift: pixels of the full picture by which one has to move to meet the other. blank: nothing to see in either, as
    against a wall or the sky; the other numbers then say nothing.
    """

    camera: str
    correlation: float
    mirrored: float
    shift: float
    blank: bool


def compare_views(camera: str, recorded: np.ndarray, engine: np.ndarray) -> ViewDifference:
    """Both: (h, w, 3) uint8. ValueError where they differ in size."""
    if recorded.shape != engine.shape:
        raise ValueError(f"{camera}: pictures of {recorded.shape} and {engine.shape} can't be compared")
    a, b = _edges(recorded), _edges(engine)
    moved, _, _ = phase_cross_correlation(a, b, upsample_factor=4)
    blank = min(a.max(), b.max()) < _LEAST_CONTRAST
    scale = recorded.shape[1] / a.shape[1]
    return ViewDifference(
        camera, _correlation(a, b), _correlation(a, b[:, ::-1]), float(np.hypot(*moved) * scale), bool(blank)
    )


def _edges(picture: np.ndarray) -> np.ndarray:
    """(h', w') float: strength of edges in a small grey picture; the root brings weak edges beside strong ones."""
    height = max(round(picture.shape[0] * _WIDTH / picture.shape[1]), 8)
    grey = resize(rgb2gray(picture), (height, min(_WIDTH, picture.shape[1])), anti_aliasing=True)
    return gaussian(np.sqrt(sobel(grey)), 1.0)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, 0 where a picture has no contrast."""
    a, b = a - a.mean(), b - b.mean()
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float((a * b).sum() / norm) if norm > 0 else 0.0
