"""What ground and leaves look like from near: a texture, a surface in each channel; from afar it is its mean."""

from __future__ import annotations

import moderngl
import numpy as np
from scipy.ndimage import gaussian_filter

PIXELS = 1024
_BLOCK = 64  # pixels of a paving block


def detail_pixels() -> np.ndarray:
    """(PIXELS, PIXELS, 4) uint8, which joins itself at its borders: asphalt, paving, leaves, grass; means of 128."""
    rng = np.random.default_rng(0)
    asphalt = 0.10 * _noise(rng, 1.4) + 0.05 * _noise(rng, 6) + 0.02 * _noise(rng, 40)
    blocks = np.kron(rng.normal(0, 0.05, (PIXELS // _BLOCK, PIXELS // _BLOCK)), np.ones((_BLOCK, _BLOCK)))
    joint = np.arange(PIXELS) % _BLOCK < 2
    paving = blocks + 0.04 * _noise(rng, 1.4) - 0.2 * (joint[:, None] | joint[None])
    grass = 0.11 * _noise(rng, 1.6) + 0.06 * _noise(rng, 8) + 0.015 * _noise(rng, 48)
    clumps = 0.5 * _noise(rng, 3) + 0.7 * _noise(rng, 10) + 0.5 * _noise(rng, 28)
    leaves = np.argsort(np.argsort(clumps, axis=None)).reshape(clumps.shape) / clumps.size - 0.5
    channels = np.stack([asphalt, paving, leaves, grass], axis=2)
    return np.clip(128 + 255 * (channels - channels.mean(axis=(0, 1))), 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """(PIXELS, PIXELS) of standard deviation 1. sigma: pixels over which it stays alike."""
    field = gaussian_filter(rng.normal(size=(PIXELS, PIXELS)), sigma, mode="wrap")
    return field / field.std()


def upload_detail(context: moderngl.Context) -> moderngl.Texture:
    """The texture with its mipmaps on the graphics device."""
    texture = context.texture((PIXELS, PIXELS), 4, detail_pixels().tobytes())
    texture.build_mipmaps()
    # One texel a pixel: mixing texels would cost a view a tenth more, and they are wider than a pixel within 3 m only.
    texture.filter = (moderngl.NEAREST_MIPMAP_NEAREST, moderngl.NEAREST)
    return texture
