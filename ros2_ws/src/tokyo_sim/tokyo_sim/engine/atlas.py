"""A city's texture pages on the graphics device."""

from __future__ import annotations

from pathlib import Path

import moderngl
import numpy as np
from PIL import Image

from tokyo_city.world.appearance import PAGE_PIXELS

_MEMORY = 512 * 2**20


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
