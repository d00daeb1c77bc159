"""Textures on the graphics device: a city's pages, and what ground and leaves look like from near."""

from __future__ import annotations

from pathlib import Path

import moderngl
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from tokyo_city.world.appearance import PAGE_PIXELS

_MEMORY = 512 * 2**20
DETAIL_PIXELS = 1024
_BLOCK = 64  # pixels of a paving block


def upload_pages(context: moderngl.Context, pages: list[Path]) -> moderngl.TextureArray:
    """All pages with mipmaps as one texture array, halved in size until they fit into half a gigabyte.

    Without pages: one of a single pixel, so that a shader has something to be bound to.
    """
    side = PAGE_PIXELS if pages else 1
    while len(pages) * side * side * 4 > _MEMORY:
        side //= 2
    array = context.texture_array((side, side, max(len(pages), 1)), 3, alignment=1)
    for number, page in enumerate(pages):
        with Image.open(page) as image:
            # Row 0 of a texture is its lowest, of an image its highest.
            pixels = np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BOX))[::-1]
        array.write(pixels.tobytes(), viewport=(0, 0, number, side, side, 1))
    array.build_mipmaps()
    array.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
    return array


def detail_pixels() -> np.ndarray:
    """(DETAIL_PIXELS, DETAIL_PIXELS, 4) uint8, a surface in each channel: asphalt, paving, leaves, grass; means of 128.

    It joins itself at its borders.
    """
    rng = np.random.default_rng(0)
    asphalt = 0.10 * _noise(rng, 1.4) + 0.05 * _noise(rng, 6) + 0.02 * _noise(rng, 40)
    blocks = np.kron(rng.normal(0, 0.05, (DETAIL_PIXELS // _BLOCK, DETAIL_PIXELS // _BLOCK)), np.ones((_BLOCK, _BLOCK)))
    joint = np.arange(DETAIL_PIXELS) % _BLOCK < 2
    paving = blocks + 0.04 * _noise(rng, 1.4) - 0.2 * (joint[:, None] | joint[None])
    grass = 0.11 * _noise(rng, 1.6) + 0.06 * _noise(rng, 8) + 0.015 * _noise(rng, 48)
    clumps = 0.5 * _noise(rng, 3) + 0.7 * _noise(rng, 10) + 0.5 * _noise(rng, 28)
    leaves = np.argsort(np.argsort(clumps, axis=None)).reshape(clumps.shape) / clumps.size - 0.5
    channels = np.stack([asphalt, paving, leaves, grass], axis=2)
    return np.clip(128 + 255 * (channels - channels.mean(axis=(0, 1))), 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """(DETAIL_PIXELS, DETAIL_PIXELS) of standard deviation 1. sigma: pixels over which it stays alike."""
    field = gaussian_filter(rng.normal(size=(DETAIL_PIXELS, DETAIL_PIXELS)), sigma, mode="wrap")
    return field / field.std()


def upload_detail(context: moderngl.Context) -> moderngl.Texture:
    """The texture of `detail_pixels` with its mipmaps: from afar it is its mean."""
    texture = context.texture((DETAIL_PIXELS, DETAIL_PIXELS), 4, detail_pixels().tobytes())
    texture.build_mipmaps()
    # One texel a pixel: mixing texels would cost a view a tenth more, and they are wider than a pixel within 3 m only.
    texture.filter = (moderngl.NEAREST_MIPMAP_NEAREST, moderngl.NEAREST)
    return texture
