"""Textures on the graphics device: a city's pages, and what ground and leaves look like from near."""

from __future__ import annotations

from pathlib import Path

import moderngl
import numpy as np
from PIL import Image
from scipy import fft
from scipy.special import ndtr

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
    asphalt = _noise(rng, (0.10, 1.4), (0.05, 6), (0.02, 40))
    blocks = np.kron(rng.normal(0, 0.05, (DETAIL_PIXELS // _BLOCK, DETAIL_PIXELS // _BLOCK)), np.ones((_BLOCK, _BLOCK)))
    joint = np.arange(DETAIL_PIXELS) % _BLOCK < 2
    paving = blocks + _noise(rng, (0.04, 1.4)) - 0.2 * (joint[:, None] | joint[None])
    grass = _noise(rng, (0.11, 1.6), (0.06, 8), (0.015, 48))
    clumps = _noise(rng, (0.5, 3), (0.7, 10), (0.5, 28))
    leaves = ndtr(clumps / clumps.std())  # any brightness as often as any other
    channels = np.stack([asphalt, paving, leaves, grass], axis=2).astype(np.float32)
    return np.clip(128 + 255 * (channels - channels.mean(axis=(0, 1))), 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, *fields: tuple[float, float]) -> np.ndarray:
    """float32 (DETAIL_PIXELS, DETAIL_PIXELS), the sum of some fields. fields: of each its standard deviation, and
    pixels over which it stays alike.

    White noise is made smooth by frequencies: a tenth of the time of a filter, and what it gives joins at its borders.
    """
    size, spectrum = (DETAIL_PIXELS, DETAIL_PIXELS), np.complex64(0)
    for deviation, sigma in fields:
        down, across = (
            np.exp(-2 * (np.pi * sigma * frequency) ** 2).astype(np.float32)
            for frequency in (fft.fftfreq(DETAIL_PIXELS), fft.rfftfreq(DETAIL_PIXELS))
        )
        left = np.square(down).mean()  # of the deviation, along two axes
        white = fft.rfft2(rng.standard_normal(size, dtype=np.float32))
        spectrum = spectrum + np.float32(deviation / left) * down[:, None] * across * white
    return fft.irfft2(spectrum, size)


def upload_detail(context: moderngl.Context) -> moderngl.Texture:
    """The texture of `detail_pixels` with its mipmaps: from afar it is its mean."""
    texture = context.texture((DETAIL_PIXELS, DETAIL_PIXELS), 4, detail_pixels().tobytes())
    texture.build_mipmaps()
    # One texel a pixel: mixing texels would cost a view a tenth more, and they are wider than a pixel within 3 m only.
    texture.filter = (moderngl.NEAREST_MIPMAP_NEAREST, moderngl.NEAREST)
    return texture
