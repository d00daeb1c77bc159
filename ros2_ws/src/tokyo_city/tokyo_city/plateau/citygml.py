"""Streaming reader of PLATEAU CityGML 2.0 files (3D city model standard product specification, versions 1 to 5)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO

from lxml import etree

from occ_core.classes import Semantic
from tokyo_city.plateau.codes import FEATURES, KINDS, NOT_SOLID, PARTS, Kind, traffic_area_class
from tokyo_city.plateau.implicit import Templates
from tokyo_city.plateau.model import CityObject, ImportProblem, Reading, Skipped, TextureImage
from tokyo_city.plateau.rings import RingTable

GML = "{http://www.opengis.net/gml}"
_ID = f"{GML}id"
_HREF = "{http://www.w3.org/1999/xlink}href"
_MEMBER = "{http://www.opengis.net/citygml/2.0}cityObjectMember"
_TEXTURE = "{http://www.opengis.net/citygml/appearance/2.0}ParameterizedTexture"
_TRIANGLE, _EXTERIOR, _INTERIOR = f"{GML}Triangle", f"{GML}exterior", f"{GML}interior"
_LINEAR_RING, _SURFACE_MEMBER = f"{GML}LinearRing", f"{GML}surfaceMember"
_BEST_LOD = 3
_URO = re.compile(r"/iur/uro/(\d\.\d)")


@dataclass(frozen=True)
class _Geometry:
    """An element lodN..., and what its polygons are."""

    node: etree._Element
    kind: Kind
    semantic: Semantic


@dataclass
class _Outline:
    """A city object before its level of detail is chosen: geometries by level, and the parts it consists of."""

    element: etree._Element
    lods: dict[int, list[_Geometry]] = field(default_factory=lambda: defaultdict(list))
    parts: list[_Outline] = field(default_factory=list)

    @property
    def best(self) -> int:
        """The highest level that has a shape of its own; -1 for none."""
        levels = sorted((lod for lod in self.lods if lod <= _BEST_LOD), reverse=True)
        return next((lod for lod in levels if any(map(_has_shape, self.lods[lod]))), -1)

    def pieces(self) -> Iterator[tuple[etree._Element, int, list[_Geometry]]]:
        """Each part at its own best level; the whole where it is as good as its parts or a part has no shape.

        A building that has only LOD1 over parts in LOD2 is those parts once more, coarser.
        """
        parts = [piece for part in self.parts for piece in part.pieces()]
        complete = parts and all(any(True for _ in part.pieces()) for part in self.parts)
        if self.best >= 0 and not (complete and self.best < max(lod for _, lod, _ in parts)):
            if self.best >= max((lod for _, lod, _ in parts), default=-1):
                yield from [(self.element, self.best, self.lods[self.best]), *parts]
            else:
                yield self.element, self.best, self.lods[self.best]
        else:
            yield from parts


def read_citygml(stream: BinaryIO, name: str, feature: str = "") -> Reading:
    """Read all city objects of a file, each part of one at its best level of detail, and its textures.

    Entities are not expanded and nothing is fetched. ImportProblem, with the line, where the XML is broken.
    feature: the `udx` folder that the file is in; the triangles of a `dem` file are read one by one.
    """
    reader = _FileReader()
    tags = (_MEMBER, _TEXTURE, _TRIANGLE) if feature == "dem" else (_MEMBER, _TEXTURE)
    try:
        events = etree.iterparse(
            stream, events=("end",), tag=tags, resolve_entities=False, no_network=True, load_dtd=False,
            huge_tree=True, recover=True, remove_comments=True, remove_pis=True,
        )  # fmt: skip
        for _, element in events:
            if element.tag == _MEMBER:
                reader.member(element)
                _forget(element)
            elif element.tag == _TEXTURE:
                reader.texture(element)
                element.clear()
            else:
                reader.relief_triangle(element)
                _forget(element)
        _refuse_broken_xml(name, events.error_log)
        if events.root is not None:
            reader.spec = next((m[1] for uri in events.root.nsmap.values() if (m := _URO.search(uri))), "")
    except etree.XMLSyntaxError as error:
        raise ImportProblem(f"{name}, line {error.lineno}: {error.msg}") from error
    except OSError as error:
        raise ImportProblem(f"{name}: {error.strerror or error}") from error
    return reader.finish()


def _forget(element: etree._Element) -> None:
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _refuse_broken_xml(name: str, log: etree._ErrorLog) -> None:
    """Distributed files use prefixes that they do not declare (`energy:` at Haneda): that alone is let pass."""
    for entry in log:
        if entry.domain != etree.ErrorDomains.NAMESPACE:
            raise ImportProblem(f"{name}, line {entry.line}: {entry.message}")


class _FileReader:
    """Takes the elements of a file as they end."""

    def __init__(self) -> None:
        self.spec = ""
        self._objects: list[CityObject] = []
        self._rings = RingTable()
        self._skipped: list[Skipped] = []
        self._images: dict[TextureImage, int] = {}
        self._textures: dict[str, tuple[int, str]] = {}
        self._templates = Templates()

    def member(self, member: etree._Element) -> None:
        for element in member:
            name = _local(element.tag)
            if name == "ReliefFeature" and not self._rings.empty:
                self._rings.assign(len(self._objects))
                self._objects.append(CityObject(element.get(_ID, "(no gml:id)"), int(_text(element, "lod") or 1)))
            elif name in FEATURES:
                self._object(element, FEATURES[name])

    def relief_triangle(self, triangle: etree._Element) -> None:
        self._sides(triangle, Kind.PLAIN, Semantic.TERRAIN, {})

    def texture(self, element: etree._Element) -> None:
        """The first texture that a ring gets is kept: themes of an appearance come in order of preference."""
        image = TextureImage(_text(element, "imageURI") or "", _text(element, "wrapMode") or "")
        index = self._images.setdefault(image, len(self._images))
        for coordinates in element.iter("{*}textureCoordinates"):
            ring = (coordinates.get("ring") or "").removeprefix("#")
            if ring:
                self._textures.setdefault(ring, (index, coordinates.text or ""))

    def finish(self) -> Reading:
        polygons, ring_ids, skipped = self._rings.finish(self._objects)
        return Reading(
            tuple(self._objects), polygons, ring_ids, (*self._skipped, *skipped), tuple(self._images), self._textures,
            self.spec,
        )  # fmt: skip

    def _object(self, element: etree._Element, semantic: Semantic) -> None:
        outline = _outline(element, semantic)
        found = False
        for piece, lod, geometries in outline.pieces():
            gml_id = piece.get(_ID) or element.get(_ID, "(no gml:id)")
            height = _height(piece) or _height(element)
            try:
                count = self._emit(geometries) if lod else self._footprint(geometries, height)
            except ValueError as error:
                self._rings.take_back()
                self._skipped.append(Skipped(gml_id, str(error)))
                found = True
                continue
            if count:
                self._rings.assign(len(self._objects))
                self._objects.append(CityObject(gml_id, lod, height, _text(element, "usage") or ""))
                found = True
        if not found:
            self._skipped.append(Skipped(element.get(_ID, "(no gml:id)"), _why_empty(element)))

    def _footprint(self, geometries: list[_Geometry], height: float | None) -> int:
        """A building that is nothing but an outline, seen from above; it is raised when it is triangulated."""
        if geometries[0].semantic is not Semantic.BUILDING:
            return 0
        if height is None:
            raise ValueError("only a footprint (LOD0), and no measuredHeight to raise it by")
        edge = next((g for g in geometries if "RoofEdge" in g.node.tag), geometries[0])
        return self._sides(edge.node, Kind.ROOF if "RoofEdge" in edge.node.tag else Kind.FLOOR, edge.semantic, {})

    def _emit(self, geometries: list[_Geometry]) -> int:
        """Add the rings of some lodN elements to the table; how many polygons there were."""
        kinds = {link: geometry.kind for geometry in geometries if geometry.kind for link in _links(geometry.node)}
        count = 0
        for geometry in geometries:
            if "Implicit" in geometry.node.tag:
                for text in self._templates.rings(geometry.node):
                    self._rings.add(text, "", True, geometry.kind, geometry.semantic)
                    count += 1
            else:
                count += self._sides(geometry.node, geometry.kind, geometry.semantic, kinds)
        return count

    def _sides(self, node: etree._Element, kind: Kind, semantic: Semantic, kinds: dict[str, Kind]) -> int:
        count = 0
        for side in node.iter(_EXTERIOR, _INTERIOR):
            if not len(side):
                raise ValueError("a polygon has no ring")
            ring = side[0]
            if ring.tag != _LINEAR_RING:
                continue  # the shell of a gml:Solid
            text = ring[0].text if len(ring) == 1 else " ".join(pos.text or "" for pos in ring)
            exterior = side.tag == _EXTERIOR
            if exterior and kinds and not kind:
                kind_here = kinds.get(side.getparent().get(_ID, ""), kind)
            else:
                kind_here = kind
            self._rings.add(text or "", ring.get(_ID) or "", exterior, kind_here, semantic)
            count += exterior
        return count


@lru_cache(maxsize=4096)
def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _outline(element: etree._Element, semantic: Semantic) -> _Outline:
    outline = _Outline(element)
    if semantic is Semantic.TERRAIN:
        outline.lods[1].append(_Geometry(element, Kind.PLAIN, semantic))
    else:
        _explore(element, Kind.PLAIN, semantic, outline)
    return outline


def _explore(element: etree._Element, kind: Kind, semantic: Semantic, outline: _Outline) -> None:
    for child in element:
        name = _local(child.tag)
        if name.startswith("lod") and name[3:4].isdigit():
            outline.lods[int(name[3])].append(_Geometry(child, kind, semantic))
        elif name in PARTS:
            part = _Outline(child)
            _explore(child, Kind.PLAIN, semantic, part)
            outline.parts.append(part)
        elif not len(child) or name in NOT_SOLID:
            continue
        elif name in ("TrafficArea", "AuxiliaryTrafficArea"):
            _explore(child, kind, traffic_area_class(_text(child, "function") or ""), outline)
        else:
            _explore(child, KINDS.get(name, kind), semantic, outline)


def _has_shape(geometry: _Geometry) -> bool:
    """Has it rings, or does it all link to somewhere else?"""
    return next(geometry.node.iter(_EXTERIOR, f"{GML}pos"), None) is not None


def _links(node: etree._Element) -> Iterator[str]:
    """Ids of polygons that are somewhere else, most often in the object's solid."""
    for member in node.iter(_SURFACE_MEMBER):
        if href := member.get(_HREF):
            yield href.removeprefix("#")


def _why_empty(element: etree._Element) -> str:
    library = next((node.text for node in element.iter("{*}libraryObject") if node.text), None)
    if library:
        return f"its shape is in a library object ({library.strip()}), not in the file"
    return "no geometry at LOD0 to LOD3"


def _text(element: etree._Element, local_name: str) -> str | None:
    for child in element:
        if _local(child.tag) == local_name and child.text is not None:
            return child.text.strip()
    return None


def _height(element: etree._Element) -> float | None:
    """Metres; None where missing or -9999, PLATEAU's mark for unknown. uro's buildingHeight stands in."""
    for text in (_text(element, "measuredHeight"), *(node.text for node in element.iter("{*}buildingHeight"))):
        try:
            height = float(text or 0)
        except ValueError:
            continue
        if 0 < height < 1000:
            return height
    return None
