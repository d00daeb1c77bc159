"""Implicit geometries: one shape in metres that stands at many places (CityGML 2.0, 10.1.5)."""

from __future__ import annotations

import numpy as np
from lxml import etree

from tokyo_city.plateau.encodings import Encoding

_HREF = "{http://www.w3.org/1999/xlink}href"
# Semi-axes of the GRS 80 ellipsoid, which JGD2011 is on: metres, and the first eccentricity squared.
_A, _E2 = 6378137.0, 0.00669438002290


class Templates:
    """The shapes of a file; one that is given in full is kept for those that link to it."""

    def __init__(self) -> None:
        self._shapes: dict[str, list[np.ndarray]] = {}

    def rings(self, node: etree._Element, encoding: Encoding) -> list[str]:
        """Exterior rings of a `lodNImplicitRepresentation`, as texts of latitude, longitude, height.

        ValueError for numbers that can't be read.
        """
        texts = []
        for implicit in node.iter("{*}ImplicitGeometry"):
            shape = self._shape(implicit, encoding)
            matrix = _numbers(implicit.findtext("{*}transformationMatrix"), 16, np.eye(4).ravel()).reshape(4, 4)
            place = _numbers(implicit.findtext("{*}referencePoint//{*}pos"), 3, None)
            for ring in shape:
                local = np.column_stack([ring, np.ones(len(ring))]) @ matrix.T
                texts.append(" ".join(f"{v:.12g}" for v in _placed(local[:, :3], place).ravel()))
        return texts

    def _shape(self, implicit: etree._Element, encoding: Encoding) -> list[np.ndarray]:
        gml = encoding.gml
        relative = implicit.find(f"{{*}}{encoding.template}")
        if relative is None:
            return []
        if href := relative.get(_HREF):
            return self._shapes.get(href.removeprefix("#"), [])
        exteriors = [list(side.iter(f"{gml}posList", f"{gml}pos")) for side in relative.iter(f"{gml}exterior")]
        texts = [" ".join(pos.text or "" for pos in side) for side in exteriors if len(side)]
        shape = [_numbers(text, -1, None).reshape(-1, 3) for text in dict.fromkeys(texts)]
        for named in relative.iter():
            if gml_id := named.get(f"{gml}id"):
                self._shapes[gml_id] = shape
        return shape


def _placed(local: np.ndarray, place: np.ndarray) -> np.ndarray:
    """local: (n, 3) metres east, north, up of a place (3,) in degrees and metres; degrees and metres too."""
    sine = np.sin(np.radians(place[0]))
    across = _A / np.sqrt(1 - _E2 * sine**2)
    along = across * (1 - _E2) / (1 - _E2 * sine**2)
    north = np.degrees(local[:, 1] / along)
    east = np.degrees(local[:, 0] / (across * np.cos(np.radians(place[0]))))
    return place + np.column_stack([north, east, local[:, 2]])


def _numbers(text: str | None, count: int, default: np.ndarray | None) -> np.ndarray:
    if not text and default is not None:
        return default
    values = np.array((text or "").split(), dtype=np.float64)
    if (count > 0 and len(values) != count) or (len(values) % 3 and count < 0) or not np.isfinite(values).all():
        raise ValueError(f"an implicit geometry has {len(values)} numbers where {max(count, 3)} are needed")
    return values
