"""What cameras see of a city: a colour, texture coordinates and an atlas page for each face of its `CityMap`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tokyo_city.plateau.atlas import PAGE_PIXELS as PAGE_PIXELS

UNTEXTURED = -1
_FOLDER, _TEXTURES = "appearance", "textures"


@dataclass(frozen=True)
class Appearance:
    """Rows are faces, in the order of `CityMap.faces`; columns of uv are the face's corners in their order.

    colour: (f, 3) uint8 sRGB, what a face without a texture looks like, and the mean of one with a texture.
    uv: (f, 3, 2) float32 in 0 ... 1, u to the right and v up from the lower left corner of the page, as in OBJ and
    CityGML; zeros where there is no texture. page: (f,) int16 index into `pages(city)`, `UNTEXTURED` for none.
    """

    colour: np.ndarray
    uv: np.ndarray
    page: np.ndarray

    @classmethod
    def plain(cls, colour: np.ndarray) -> Appearance:
        """Colours (f, 3) uint8 without any texture."""
        return cls(colour, np.zeros((len(colour), 3, 2), np.float32), np.full(len(colour), UNTEXTURED, np.int16))

    @classmethod
    def load(cls, city: Path) -> Appearance:
        """Read an imported city's appearance; FileNotFoundError with what to run."""
        parts = sorted((Path(city) / _FOLDER).glob("*.npz"))
        if not parts:
            raise FileNotFoundError(f"no appearance in {city}: import the city again with `tokyo city`")
        columns: tuple[list[np.ndarray], ...] = ([], [], [])
        for part in parts:
            with np.load(part, allow_pickle=False) as data:
                for column, name in zip(columns, ("colour", "uv", "page"), strict=True):
                    column.append(data[name])
        return cls(*map(np.concatenate, columns))

    def save(self, city: Path, part: str = "city") -> None:
        """Write one part of a city's faces; parts are read back in the order of their names."""
        folder = Path(city) / _FOLDER
        folder.mkdir(exist_ok=True)
        np.savez(folder / f"{part}.npz", colour=self.colour, uv=self.uv, page=self.page)


def page_path(city: Path, page: int) -> Path:
    """Where an atlas page is: a JPEG of `PAGE_PIXELS` squared, RGB."""
    return Path(city) / _TEXTURES / f"page_{page:03d}.jpg"


def pages(city: Path) -> list[Path]:
    """The atlas pages of a city, in the order of their indices; empty where nothing has a texture."""
    found = (Path(city) / _TEXTURES).glob("page_*.jpg")
    return sorted(found, key=lambda path: int(path.stem.removeprefix("page_")))
