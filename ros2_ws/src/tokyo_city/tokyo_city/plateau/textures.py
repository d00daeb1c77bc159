"""Texture coordinates and colours of a file's surfaces (CityGML 2.0, 9.3 and 9.4) as arrays beside its points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokyo_city.plateau.model import Reading

NO_IMAGE = -1


@dataclass(frozen=True)
class TextureCoordinates:
    """uv: (n, 2) float64 for each point of `Reading.polygons`, v up. image: (p,) index into its images or `NO_IMAGE`.

    colour: (p, 3) int16, what a polygon without a texture has; -1: what its class has. unmatched: rings whose
    coordinates are not as many as their points, or no numbers.
    """

    uv: np.ndarray
    image: np.ndarray
    colour: np.ndarray
    unmatched: int = 0


def texture_coordinates(reading: Reading) -> TextureCoordinates:
    """A polygon has a texture where each of its rings has one, all of the same image."""
    polygons = reading.polygons
    uv = np.zeros((len(polygons.points), 2))
    of_ring = np.full(len(polygons.rings) - 1, NO_IMAGE)
    unmatched = 0
    for ring, gml_id in enumerate(reading.ring_ids if reading.textures else ()):
        if gml_id not in reading.textures:
            continue
        image, text = reading.textures[gml_id]
        first, end = polygons.rings[ring], polygons.rings[ring + 1]
        try:
            values = np.array(text.split(), dtype=np.float64)
        except ValueError:
            values = np.zeros(0)
        if len(values) == 2 * (end - first) and np.isfinite(values).all():
            uv[first:end] = values.reshape(-1, 2)
            of_ring[ring] = image
        else:
            unmatched += 1
    image_of = np.full(len(polygons), NO_IMAGE)
    if len(polygons):
        low = np.minimum.reduceat(of_ring, polygons.firsts[:-1])
        image_of = np.where(low == np.maximum.reduceat(of_ring, polygons.firsts[:-1]), low, NO_IMAGE)
    return TextureCoordinates(uv, image_of, _colours(reading), unmatched)


def _colours(reading: Reading) -> np.ndarray:
    """(p, 3) int16: the colour of the polygon itself, else of the nearest surface around it that has one."""
    colour = np.full((len(reading.polygons), 3), -1, np.int16)
    if reading.colours:
        for number, target in enumerate(reading.targets):
            found = next((reading.colours[name] for name in target.split() if name in reading.colours), None)
            if found is not None:
                colour[number] = found
    return colour
