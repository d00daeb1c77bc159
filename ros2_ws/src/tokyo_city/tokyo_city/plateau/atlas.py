"""Texture images of a tile, cut to what is used of them and packed into square pages of one size."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, UnidentifiedImageError

from tokyo_city.plateau.model import ImportProblem, TextureImage
from tokyo_city.plateau.textures import NO_IMAGE

PAGE_PIXELS = 2048
"""Atlas pages are squares of this side, so that a renderer can hold all of them in one texture array."""
# More than a camera of 1600 pixels sees at 10 m, and what PLATEAU's aerial photographs hold at best.
_TEXELS_PER_METRE = 16.0
_PAD = 2  # repeated edge pixels around a patch, so that filtering takes no colour from its neighbour
_MOST_PIXELS = 2**26
_QUALITY = 88
_REPEATS = 1e-3  # beyond 0 ... 1 by more than this, a texture repeats
_CLAMPING = {"clamp", "border", "none"}


@dataclass(frozen=True)
class Atlas:
    """uv: (t, 3, 2) float32 in the pages, v up. page: (t,) int16, -1 for none. colour: (t, 3) uint8, the mean.

    pages: JPEG files. problems: images that can't be used, and why.
    """

    uv: np.ndarray
    page: np.ndarray
    colour: np.ndarray
    pages: tuple[bytes, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Patch:
    """A window (u0, v0, u1, v1) of an image, and how many pixels it gets."""

    image: int
    window: tuple[float, float, float, float]
    size: tuple[int, int]


def pack_atlas(
    uv: np.ndarray,
    image: np.ndarray,
    polygon: np.ndarray,
    area: np.ndarray,
    images: tuple[TextureImage, ...],
    read: Callable[[str], bytes],
) -> Atlas:
    """uv: (t, 3, 2) in the images. image, polygon: (t,) indices. area: (t,) square metres.

    Coordinates outside 0 ... 1 repeat their image (CityGML's wrap mode), which is baked into a patch of its own, or
    are clamped where the file says so. read: a file's content by its uri, or ImportProblem.
    """
    out = Atlas(
        np.zeros_like(uv, dtype=np.float32), np.full(len(uv), -1, np.int16), np.zeros((len(uv), 3), np.uint8), (), ()
    )
    sizes, problems = _sizes(images, np.unique(image), read)
    textured = np.flatnonzero(np.isin(image, list(sizes)))
    if not len(textured):
        return Atlas(out.uv, out.page, out.colour, (), problems)
    uv, image = _unrolled(uv[textured], image[textured], polygon[textured], images)
    repeating = (uv > 1 + _REPEATS).any(axis=(1, 2))
    _, number = np.unique(polygon[textured], return_inverse=True)
    repeating = np.bincount(number, repeating)[number] > 0
    _, first, group = np.unique(
        np.stack([image, np.where(repeating, polygon[textured], -1)]), axis=1, return_index=True, return_inverse=True
    )
    group = group.ravel()
    patches = [
        _patch(uv[group == g], area[textured][group == g], int(image[first[g]]), sizes) for g in range(len(first))
    ]
    places, count = _shelves([patch.size for patch in patches])
    pages, means = _draw(patches, places, count, images, read)
    for g, (patch, (page, left, top)) in enumerate(zip(patches, places, strict=True)):
        rows = np.flatnonzero(group == g)
        u0, v0, u1, v1 = patch.window
        width, height = patch.size
        inside = np.clip((uv[rows] - [u0, v0]) / [u1 - u0, v1 - v0], 0, 1)
        out.uv[textured[rows], :, 0] = (left + inside[:, :, 0] * width) / PAGE_PIXELS
        out.uv[textured[rows], :, 1] = 1 - (top + (1 - inside[:, :, 1]) * height) / PAGE_PIXELS
        out.page[textured[rows]] = page
        out.colour[textured[rows]] = means[g]
    return Atlas(out.uv, out.page, out.colour, tuple(pages), problems)


def _sizes(
    images: tuple[TextureImage, ...], used: np.ndarray, read: Callable[[str], bytes]
) -> tuple[dict[int, tuple[int, int]], tuple[str, ...]]:
    """Width and height of each image that can be used, and a sentence for each that can't."""
    sizes: dict[int, tuple[int, int]] = {}
    problems = []
    for number in used[used != NO_IMAGE].tolist():
        uri = images[number].uri
        try:
            sizes[number] = _open(uri, read).size
        except ImportProblem as problem:
            problems.append(str(problem))
    return sizes, tuple(problems)


def _open(uri: str, read: Callable[[str], bytes]) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(read(uri)), formats=_formats())
    except Image.DecompressionBombError as error:
        raise ImportProblem(f"texture {uri}: too many pixels, {error}") from error
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise ImportProblem(f"texture {uri}: not a {', '.join(_formats())} image ({error})") from error
    if image.width * image.height > _MOST_PIXELS:
        raise ImportProblem(f"texture {uri}: {image.width} x {image.height} pixels are too many")
    return image


@lru_cache
def _formats() -> tuple[str, ...]:
    """What PLATEAU specifies, and what else a browser shows, as far as this Pillow was built with it."""
    Image.init()
    return tuple(name for name in ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "AVIF") if name in Image.OPEN)


def _decoded(uri: str, read: Callable[[str], bytes]) -> Image.Image:
    """RGB; mid-grey where the file is cut short, which only shows when it is decoded."""
    image = _open(uri, read)
    try:
        return image.convert("RGB")
    except (OSError, ValueError, SyntaxError):
        return Image.new("RGB", image.size, (128, 128, 128))


def _unrolled(
    uv: np.ndarray, image: np.ndarray, polygon: np.ndarray, images: tuple[TextureImage, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Whole repeats taken off, polygon by polygon, so that each begins in 0 ... 1."""
    clamping = np.array([texture.wrap in _CLAMPING for texture in images])[image]
    uv = np.where(clamping[:, None, None], np.clip(uv, 0, 1), uv)
    _, number = np.unique(polygon, return_inverse=True)
    low = np.full((number.max() + 1, 2), np.inf)
    np.minimum.at(low, number, uv.min(axis=1))
    mirror = np.array([texture.wrap == "mirror" for texture in images])[image]
    step = np.where(mirror, 2.0, 1.0)[:, None]
    return uv - (np.floor((low[number] + _REPEATS) / step) * step)[:, None], image


def _patch(uv: np.ndarray, area: np.ndarray, image: int, sizes: dict[int, tuple[int, int]]) -> _Patch:
    width, height = sizes[image]
    low, high = uv.min(axis=(0, 1)), uv.max(axis=(0, 1))
    high = np.maximum(high, low + 1 / np.array([width, height]))
    edges = uv[:, 1:] - uv[:, :1]
    texels = np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]).sum() / 2 * width * height
    density = np.sqrt(texels / max(float(area.sum()), 1e-9))
    scale = min(1.0, _TEXELS_PER_METRE / max(density, 1e-9))
    wanted = (high - low) * [width, height] * scale
    size = np.clip(np.ceil(wanted), 1, PAGE_PIXELS - 2 * _PAD).astype(int)
    return _Patch(image, (float(low[0]), float(low[1]), float(high[0]), float(high[1])), (int(size[0]), int(size[1])))


def _shelves(sizes: list[tuple[int, int]]) -> tuple[list[tuple[int, int, int]], int]:
    """(page, left, top) of each patch without its padding, highest first on shelves; and the number of pages."""
    places = [(0, 0, 0)] * len(sizes)
    page, left, top, shelf = 0, 0, 0, 0
    for number in sorted(range(len(sizes)), key=lambda n: (-sizes[n][1], -sizes[n][0])):
        width, height = sizes[number][0] + 2 * _PAD, sizes[number][1] + 2 * _PAD
        if left + width > PAGE_PIXELS:
            left, top, shelf = 0, top + shelf, 0
        if top + height > PAGE_PIXELS:
            page, left, top, shelf = page + 1, 0, 0, 0
        places[number] = (page, left + _PAD, top + _PAD)
        left, shelf = left + width, max(shelf, height)
    return places, page + 1


def _draw(
    patches: list[_Patch],
    places: list[tuple[int, int, int]],
    count: int,
    images: tuple[TextureImage, ...],
    read: Callable[[str], bytes],
) -> tuple[list[bytes], np.ndarray]:
    """JPEG pages, one in memory at a time, and the mean colour (k, 3) of each patch."""
    pages, means = [], np.zeros((len(patches), 3), np.uint8)
    for page in range(count):
        canvas = np.full((PAGE_PIXELS, PAGE_PIXELS, 3), 128, np.uint8)
        source, open_image = -1, Image.new("RGB", (1, 1))
        for number in sorted((n for n, place in enumerate(places) if place[0] == page), key=lambda n: patches[n].image):
            patch = patches[number]
            if patch.image != source:
                source, open_image = patch.image, _decoded(images[patch.image].uri, read)
            pixels = _cut(open_image, patch, images[patch.image].wrap == "mirror")
            means[number] = pixels.mean(axis=(0, 1))
            _, left, top = places[number]
            padded = np.pad(pixels, ((_PAD, _PAD), (_PAD, _PAD), (0, 0)), mode="edge")
            canvas[top - _PAD : top + patch.size[1] + _PAD, left - _PAD : left + patch.size[0] + _PAD] = padded
        buffer = io.BytesIO()
        Image.fromarray(canvas).save(buffer, format="JPEG", quality=_QUALITY)
        pages.append(buffer.getvalue())
    return pages, means


def _cut(image: Image.Image, patch: _Patch, mirror: bool) -> np.ndarray:
    """(height, width, 3) uint8: the patch's window, resampled; repeated where it reaches beyond the image."""
    u0, v0, u1, v1 = patch.window
    width, height = image.size
    if u1 <= 1 + _REPEATS and v1 <= 1 + _REPEATS:
        box = (u0 * width, (1 - v1) * height, u1 * width, (1 - v0) * height)
        box = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], width), min(box[3], height))
        return np.asarray(image.resize(patch.size, Image.Resampling.BILINEAR, box=box))
    # One repeat at the resolution of the patch, then looked up as often as it repeats.
    once = (max(round(patch.size[0] / (u1 - u0)), 1), max(round(patch.size[1] / (v1 - v0)), 1))
    tile = np.asarray(image.resize(once, Image.Resampling.BILINEAR))
    columns = _folded(u0 + (np.arange(patch.size[0]) + 0.5) / patch.size[0] * (u1 - u0), mirror)
    rows = _folded(v1 - (np.arange(patch.size[1]) + 0.5) / patch.size[1] * (v1 - v0), mirror)
    x = np.minimum((columns * once[0]).astype(int), once[0] - 1)
    y = np.minimum(((1 - rows) * once[1]).astype(int), once[1] - 1)
    return tile[y[:, None], x[None]]


def _folded(coordinate: np.ndarray, mirror: bool) -> np.ndarray:
    if mirror:
        return 1 - np.abs(np.mod(coordinate, 2) - 1)
    return np.mod(coordinate, 1)
