"""Streaming reader of PLATEAU CityGML 2.0 files (3D city model standard product specification, versions 1 to 5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lxml import etree

from occ_core.classes import Semantic
from tokyo_sim.plateau.model import CityObject, ImportProblem, Skipped, Surface

GML = "{http://www.opengis.net/gml}"
XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
_MEMBER = "{http://www.opengis.net/citygml/2.0}cityObjectMember"

FEATURES: dict[str, tuple[str, Semantic]] = {
    "Building": ("bldg", Semantic.BUILDING),
    "Road": ("tran", Semantic.ROAD),
    "Square": ("tran", Semantic.SIDEWALK),
    "ReliefFeature": ("dem", Semantic.TERRAIN),
    "SolitaryVegetationObject": ("veg", Semantic.VEGETATION),
    "PlantCover": ("veg", Semantic.VEGETATION),
    "CityFurniture": ("frn", Semantic.FURNITURE),
    "Bridge": ("brid", Semantic.BRIDGE),
    "WaterBody": ("wtr", Semantic.WATER),
}
"""CityGML element -> PLATEAU folder and class."""

# PLATEAU code list TrafficArea_function: 2000 sidewalk part, 2010 steps, 2020 sidewalk; AuxiliaryTrafficArea_function
# 3000 island. Everything else that carries traffic is carriageway.
_SIDEWALK_CODES = ("2", "3")
_NOT_SOLID = {"ClosureSurface", "WaterClosureSurface"}


def read_city_objects(path: Path) -> Iterator[CityObject | Skipped]:
    """Each city object of a file at its best level of detail, in file order; `Skipped` for one that has no surface.

    Entities are not expanded and nothing is fetched. ImportProblem, with the line, where the XML is broken; what came
    before has been yielded.
    """
    try:
        members = etree.iterparse(
            str(path), events=("end",), tag=_MEMBER, resolve_entities=False, no_network=True, load_dtd=False,
            huge_tree=True, recover=True,
        )  # fmt: skip
        for _, member in members:
            for element in member:
                name = etree.QName(element).localname
                if name in FEATURES:
                    yield _read_object(element, *FEATURES[name])
            member.clear()
            while member.getprevious() is not None:
                del member.getparent()[0]
        _refuse_broken_xml(path, members.error_log)
    except etree.XMLSyntaxError as error:
        raise ImportProblem(f"{path.name}, line {error.lineno}: {error.msg}") from error
    except OSError as error:
        raise ImportProblem(f"{path}: {error.strerror or error}") from error


def _refuse_broken_xml(path: Path, log: etree._ErrorLog) -> None:
    """Distributed files use prefixes that they do not declare (`energy:` at Haneda): that alone is let pass."""
    for entry in log:
        if entry.domain != etree.ErrorDomains.NAMESPACE:
            raise ImportProblem(f"{path.name}, line {entry.line}: {entry.message}")


def _read_object(element: etree._Element, feature: str, semantic: Semantic) -> CityObject | Skipped:
    gml_id = element.get(f"{GML}id", "(no gml:id)")
    try:
        # A relief says its level of detail in an element; its triangles are below no lodN.
        lods = (int(_text(element, "lod") or 1),) if semantic is Semantic.TERRAIN else (3, 2, 1)
        for lod in lods:
            surfaces = tuple(_surfaces(element, lod, semantic))
            if surfaces:
                return CityObject(
                    gml_id, feature, lod, surfaces, _measured_height(element), _text(element, "usage") or ""
                )
    except ValueError as error:
        return Skipped(gml_id, str(error))
    return Skipped(gml_id, "no geometry at LOD1 to LOD3")


def _surfaces(element: etree._Element, lod: int, semantic: Semantic) -> Iterator[Surface]:
    """Polygons and triangles below lodN elements, each once; links are to polygons of the same object."""
    prefix = f"lod{lod}"
    for node in element.iter(f"{GML}Polygon", f"{GML}Triangle"):
        kind, inside = "", semantic is Semantic.TERRAIN
        for parent in node.iterancestors():
            name = etree.QName(parent).localname
            if name.startswith("lod"):
                inside = name.startswith(prefix)
            elif name.endswith(("Surface", "Area", "Installation", "Door", "Window")) and not kind:
                if name not in ("MultiSurface", "CompositeSurface", "OrientableSurface", "TriangulatedSurface"):
                    kind = name
            if parent is element:
                break
        if inside and kind not in _NOT_SOLID:
            yield Surface(_rings(node), _semantic(node, element, kind, semantic), kind)


def _semantic(node: etree._Element, top: etree._Element, kind: str, semantic: Semantic) -> Semantic:
    if kind not in ("TrafficArea", "AuxiliaryTrafficArea"):
        return semantic
    area = next(parent for parent in node.iterancestors() if etree.QName(parent).localname == kind)
    code = _text(area, "function") or ""
    return Semantic.SIDEWALK if code.startswith(_SIDEWALK_CODES) else Semantic.ROAD


def _rings(polygon: etree._Element) -> tuple[np.ndarray, ...]:
    """Exterior first. ValueError for a ring with fewer than three distinct points or with broken numbers."""
    rings = []
    for ring in polygon.iter(f"{GML}LinearRing"):
        text = " ".join(pos.text or "" for pos in ring.iter(f"{GML}posList", f"{GML}pos"))
        try:
            points = np.array(text.split(), dtype=np.float64)
        except ValueError as error:
            raise ValueError(f"a coordinate is not a number: {error}") from error
        if len(points) % 3 or not np.isfinite(points).all():
            raise ValueError(f"a ring has {len(points)} numbers, which is not a list of finite 3D points")
        points = points.reshape(-1, 3)
        if len(points) > 1 and np.array_equal(points[0], points[-1]):
            points = points[:-1]
        if len(points) < 3:
            raise ValueError(f"a ring has {len(points)} distinct points, a polygon needs 3")
        rings.append(points)
    if not rings:
        raise ValueError("a polygon has no ring")
    return tuple(rings)


def _text(element: etree._Element, local_name: str) -> str | None:
    found = next((child for child in element if etree.QName(child).localname == local_name), None)
    return None if found is None or found.text is None else found.text.strip()


def _measured_height(element: etree._Element) -> float | None:
    """Metres; None where missing or -9999, PLATEAU's mark for unknown."""
    text = _text(element, "measuredHeight")
    height = float(text) if text else None
    return None if height is None or height <= 0 else height
