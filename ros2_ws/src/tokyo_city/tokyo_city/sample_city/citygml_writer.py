"""CityGML 2.0 documents as PLATEAU writes them: one city model a feature type and mesh, EPSG:6697, uro 2.0."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from lxml import etree

from .codes import Code
from .faces import Face
from .georeference import GEODETIC_EPSG, Georeference

SRS_NAME = f"http://www.opengis.net/def/crs/EPSG/0/{GEODETIC_EPSG}"
NAMESPACES = {
    "core": "http://www.opengis.net/citygml/2.0",
    "bldg": "http://www.opengis.net/citygml/building/2.0",
    "tran": "http://www.opengis.net/citygml/transportation/2.0",
    "dem": "http://www.opengis.net/citygml/relief/2.0",
    "veg": "http://www.opengis.net/citygml/vegetation/2.0",
    "frn": "http://www.opengis.net/citygml/cityfurniture/2.0",
    "gml": "http://www.opengis.net/gml",
    "uro": "https://www.geospatial.jp/iur/uro/2.0",
    "xlink": "http://www.w3.org/1999/xlink",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_SCHEMAS = {
    "core": "http://schemas.opengis.net/citygml/2.0/cityGMLBase.xsd",
    "bldg": "http://schemas.opengis.net/citygml/building/2.0/building.xsd",
    "tran": "http://schemas.opengis.net/citygml/transportation/2.0/transportation.xsd",
    "dem": "http://schemas.opengis.net/citygml/relief/2.0/relief.xsd",
    "veg": "http://schemas.opengis.net/citygml/vegetation/2.0/vegetation.xsd",
    "frn": "http://schemas.opengis.net/citygml/cityfurniture/2.0/cityFurniture.xsd",
    "gml": "http://schemas.opengis.net/gml/3.1.1/base/gml.xsd",
    "uro": "../../schemas/iur/uro/2.0/urbanObject.xsd",
}
CREATION_DATE = "2024-01-15"


def name(tag: str) -> str:
    """``prefix:local`` as the ``{namespace}local`` that lxml wants."""
    prefix, local = tag.split(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


def child(parent: etree._Element, tag: str, text: object = None, **attributes: str) -> etree._Element:
    """Append an element ``prefix:local``; numbers are written as they print."""
    element = etree.SubElement(parent, name(tag), attributes)
    if text is not None:
        element.text = str(text)
    return element


def coded(parent: etree._Element, tag: str, code: Code) -> None:
    """Append a code with the path of its list from ``udx/<feature>/``."""
    child(parent, tag, code.value, codeSpace=f"../../codelists/{code.codelist}.xml")


def measured(parent: etree._Element, tag: str, value_m: float) -> None:
    """Append a length in metres, to the centimetre."""
    child(parent, tag, f"{value_m:.2f}", uom="m")


class CityModel:
    """One CityGML document under construction; it names its members and tracks their extent."""

    def __init__(self, feature: str, seed: int, mesh: str, georeference: Georeference):
        self._root = etree.Element(name("core:CityModel"), nsmap=NAMESPACES)
        locations = " ".join(f"{NAMESPACES[prefix]} {schema}" for prefix, schema in _SCHEMAS.items())
        self._root.set(name("xsi:schemaLocation"), locations)
        self._bounded_by = child(self._root, "gml:boundedBy")
        self._prefix = feature
        self._id_key = f"sample-city/{seed}/{mesh}/{feature}"
        self._ids = 0
        self._georeference = georeference
        self._low, self._high = np.full(3, np.inf), np.full(3, -np.inf)

    def new_id(self, prefix: str | None = None) -> str:
        """The next gml:id, the same for the same seed."""
        self._ids += 1
        unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{self._id_key}/{self._ids}")
        return f"{prefix or self._prefix}_{unique}"

    def member(self, tag: str, title: str | None = None) -> etree._Element:
        """Append a city object with an id, its creation date and, where it has one, its gml:name."""
        feature = child(child(self._root, "core:cityObjectMember"), tag)
        feature.set(name("gml:id"), self.new_id())
        if title:
            child(feature, "gml:name", title)
        child(feature, "core:creationDate", CREATION_DATE)
        return feature

    def multi_surface(self, parent: etree._Element, tag: str, faces: Iterable[Face]) -> None:
        """Append ``tag`` with a gml:MultiSurface of the faces."""
        self.polygons(child(child(parent, tag), "gml:MultiSurface", srsName=SRS_NAME, srsDimension="3"), faces)

    def composite_shell(self, parent: etree._Element, tag: str) -> etree._Element:
        """Append ``tag`` with a gml:Solid and return the composite surface of its exterior."""
        solid = child(child(parent, tag), "gml:Solid", srsName=SRS_NAME, srsDimension="3")
        return child(child(solid, "gml:exterior"), "gml:CompositeSurface")

    def polygons(self, parent: etree._Element, faces: Iterable[Face], ids: Iterable[str] | None = None) -> None:
        """Append one gml:surfaceMember with a gml:Polygon a face, named by ``ids`` where given."""
        faces = list(faces)
        pos_lists = iter(self.pos_lists([ring for face in faces for ring in face.rings]))
        polygon_ids = iter(ids) if ids is not None else None
        for face in faces:
            polygon = child(child(parent, "gml:surfaceMember"), "gml:Polygon")
            if polygon_ids is not None:
                polygon.set(name("gml:id"), next(polygon_ids))
            for number in range(len(face.rings)):
                side = child(polygon, "gml:interior" if number else "gml:exterior")
                child(child(side, "gml:LinearRing"), "gml:posList", next(pos_lists))

    def pos_lists(self, rings: list[np.ndarray]) -> list[str]:
        """Closed gml:posList texts of open rings ``(n, 3)`` in local metres.

        Ten decimals of a degree are 0.01 mm, so that surfaces stay closed and planar.
        """
        points = self._georeference.to_geodetic(np.concatenate(rings))
        self._low, self._high = np.minimum(self._low, points.min(axis=0)), np.maximum(self._high, points.max(axis=0))
        texts = [f"{latitude:.10f} {longitude:.10f} {height:.4f}" for latitude, longitude, height in points.tolist()]
        ends = np.cumsum([len(ring) for ring in rings])
        return [
            " ".join([*texts[end - len(ring) : end], texts[end - len(ring)]])
            for ring, end in zip(rings, ends, strict=False)
        ]

    def save(self, path: Path) -> None:
        """Write the document with its envelope."""
        envelope = child(self._bounded_by, "gml:Envelope", srsName=SRS_NAME, srsDimension="3")
        for tag, (latitude, longitude, height) in (("gml:lowerCorner", self._low), ("gml:upperCorner", self._high)):
            child(envelope, tag, f"{latitude:.10f} {longitude:.10f} {height:.4f}")
        path.parent.mkdir(parents=True, exist_ok=True)
        etree.indent(self._root, "\t")
        etree.ElementTree(self._root).write(path, encoding="UTF-8", xml_declaration=True)
