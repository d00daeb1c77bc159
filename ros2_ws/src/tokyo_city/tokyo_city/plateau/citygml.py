"""Streaming reader of PLATEAU CityGML files (3D city model standard product specification), in both encodings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from lxml import etree

from occ_core.classes import SHEET_CLASSES, Semantic
from tokyo_city.plateau.codes import SurfaceType
from tokyo_city.plateau.encodings import ENCODINGS, Encoding
from tokyo_city.plateau.implicit import Templates
from tokyo_city.plateau.levels import completed, uncovered
from tokyo_city.plateau.model import CityObject, ImportProblem, Reading, Skipped, TextureImage
from tokyo_city.plateau.outline import (
    HREF,
    Geometry,
    Outline,
    Piece,
    has_shape,
    links,
    local_name,
    outline_of,
    text_of,
    why_empty,
)
from tokyo_city.plateau.rings import Draft, RingTable, Shape, flattened, joined, shape_of, without_repeats

# Where more of a level than this is broken, a coarser level that is not is better.
_FEW = 0.1
_SURFACES = ("PolyhedralSurface", "TriangulatedSurface", "OrientableSurface")
_BATCH = 20_000  # triangles of a relief whose text is held before it becomes numbers
_URO = re.compile(r"/iur/uro/(\d\.\d)")
_MEMBERS = {encoding.member: encoding for encoding in ENCODINGS}
_TEXTURES = {encoding.texture: encoding for encoding in ENCODINGS}
_MATERIALS = {encoding.material: encoding for encoding in ENCODINGS}
_TRIANGLES = {encoding.triangle: encoding for encoding in ENCODINGS}


@dataclass(frozen=True)
class _Read:
    """An object or a part of one, read. lod: of its hull, -1 where it has none. others: its installations and such."""

    element: etree._Element
    lod: int
    hull: Shape | None
    others: Shape | None


def read_citygml(stream: BinaryIO, name: str, feature: str = "") -> Reading:
    """Read all city objects of a file, each piece of one at its best level of detail, with colours and textures.

    Entities are not expanded and nothing is fetched. ImportProblem, with the line, where the XML is broken.
    feature: the `udx` folder that the file is in; the triangles of a `dem` file are read one by one.
    """
    reader = _FileReader()
    tags = [*_MEMBERS, *_TEXTURES, *_MATERIALS, *(_TRIANGLES if feature == "dem" else ())]
    try:
        events = etree.iterparse(
            stream, events=("end",), tag=tags, resolve_entities=False, no_network=True, load_dtd=False,
            huge_tree=True, recover=True, remove_comments=True, remove_pis=True,
        )  # fmt: skip
        for _, element in events:
            if encoding := _MEMBERS.get(element.tag):
                reader.member(element, encoding)
                _forget(element)
            elif encoding := _TEXTURES.get(element.tag):
                reader.texture(element, encoding)
                element.clear()
            elif element.tag in _MATERIALS:
                reader.material(element)
                element.clear()
            else:
                reader.relief_triangle(element, _TRIANGLES[element.tag])
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
        self._relief = Draft(1, area=True)
        self._relief_faults: list[str] = []
        self._skipped: list[Skipped] = []
        self._problems: list[str] = []
        self._unread: Counter[str] = Counter()
        self._links: Counter[str] = Counter()
        self._images: dict[TextureImage, int] = {}
        self._textures: dict[str, tuple[int, str]] = {}
        self._colours: dict[str, tuple[int, int, int]] = {}
        self._templates = Templates()

    def member(self, member: etree._Element, encoding: Encoding) -> None:
        if not len(member) and (href := member.get(HREF)):
            self._links[href.partition("#")[0]] += 1
        for element in member:
            name = local_name(element.tag)
            if name == "ReliefFeature" and self._relief_waits:
                self._end_relief(element, encoding)
            elif name not in encoding.features:
                self._unread[name] += 1
            elif name == "WaterBody" and any("RiskAttribute" in str(each.tag) for each in element.iter()):
                self._unread["WaterBody of a flood"] += 1
            else:
                self._object(element, encoding, encoding.features[name])

    def relief_triangle(self, triangle: etree._Element, encoding: Encoding) -> None:
        _draw(self._relief, triangle, encoding, SurfaceType.PLAIN, Semantic.TERRAIN, {})
        if len(self._relief) >= _BATCH:
            self._take_relief()

    def texture(self, element: etree._Element, encoding: Encoding) -> None:
        """The first texture that a ring gets is kept: themes of an appearance come in order of preference."""
        image = TextureImage(text_of(element, "imageURI") or "", text_of(element, "wrapMode") or "")
        index = self._images.setdefault(image, len(self._images))
        for ring, coordinates in encoding.texture_coordinates(element):
            self._textures.setdefault(ring, (index, coordinates))

    def material(self, element: etree._Element) -> None:
        """The first colour that a surface gets is kept."""
        text = text_of(element, "diffuseColor") or "0.8 0.8 0.8"
        try:
            red, green, blue = (round(255 * min(max(float(value), 0.0), 1.0)) for value in text.split())
        except ValueError:
            self._problems.append(f"a colour '{text}' is not three numbers")
            return
        for target in element.iterfind("{*}target"):
            self._colours.setdefault((target.text or "").strip().removeprefix("#"), (red, green, blue))

    def finish(self) -> Reading:
        polygons, shape = self._rings.finish()
        for file, count in self._links.items():
            objects = f"{count} city objects are links" if count > 1 else "a city object is a link"
            where = f"to another file ({file}) and read from there alone" if file else "to another place in the file"
            self._problems.append(f"{objects} {where}")
        return Reading(
            tuple(self._objects), polygons, shape.ring_ids, tuple(self._skipped), tuple(self._images), self._textures,
            self.spec, shape.targets, self._colours, tuple(self._problems), dict(self._unread),
        )  # fmt: skip

    @property
    def _relief_waits(self) -> bool:
        """Triangles have been read that belong to the relief that ends next."""
        return bool(len(self._relief) or (self._rings.owners and self._rings.owners[-1] == len(self._objects)))

    def _take_relief(self) -> None:
        shape = shape_of(self._relief)
        self._relief_faults += shape.faults
        self._rings.add(shape, len(self._objects))
        self._relief = Draft(1, area=True)

    def _end_relief(self, element: etree._Element, encoding: Encoding) -> None:
        self._take_relief()
        gml_id = element.get(f"{encoding.gml}id", "(no gml:id)")
        if self._relief_faults:
            more = f" ({len(self._relief_faults)} triangles left out)" if len(self._relief_faults) > 1 else ""
            self._skipped.append(Skipped(gml_id, self._relief_faults[0] + more))
        self._objects.append(CityObject(gml_id, int(text_of(element, "lod") or 1), area=True))
        self._relief_faults = []

    def _object(self, element: etree._Element, encoding: Encoding, semantic: Semantic) -> None:
        name = element.get(f"{encoding.gml}id", "(no gml:id)")
        area = semantic in SHEET_CLASSES
        try:
            found = list(self._read(outline_of(element, encoding, semantic), encoding, area))
        except _Nothing as nothing:
            self._skipped.append(Skipped(name, str(nothing)))
            return
        for read in found:
            shapes = [shape for shape in (read.hull, read.others) if shape is not None]
            shape = (uncovered if area else joined)(shapes)
            if semantic is Semantic.OTHER:
                shape = flattened(shape)
            lies = area or (semantic is Semantic.OTHER and bool((shape.classes == Semantic.TERRAIN).all()))
            height = None if lies else _height(read.element, encoding)
            if height is None and not lies and read.element is not element:
                height = _height(element, encoding)
            entry = CityObject(
                read.element.get(f"{encoding.gml}id") or name,
                int(shape.lods.max(initial=0)), height, text_of(element, "usage") or "", lies,
            )  # fmt: skip
            self._rings.add(shape, len(self._objects))
            self._objects.append(entry)
        if not found:
            self._skipped.append(Skipped(name, why_empty(element)))

    def _read(self, outline: Outline, encoding: Encoding, area: bool) -> Iterator[_Read]:
        """Each part at its own best level; the whole where it is as good as its parts or a part has no shape.

        A building that has only LOD1 over parts in LOD2 is those parts once more, coarser. _Nothing where all of it
        is broken.
        """
        of_parts, complete, broken = [], bool(outline.parts), None
        for part in outline.parts:
            try:
                inside = list(self._read(part, encoding, area))
            except _Nothing as nothing:
                inside, broken = [], nothing
            complete &= bool(inside)
            of_parts += inside
        best = max((read.lod for read in of_parts), default=-1)
        try:
            own = self._read_own(outline, encoding, area)
        except _Nothing as nothing:
            if not of_parts:
                raise
            own, broken = None, nothing
        if broken is not None and own is None and not of_parts:
            raise broken
        if own is None:
            yield from of_parts
        elif own.lod < 0 or own.lod >= best:
            yield own
            yield from of_parts
        elif complete:
            if own.others is not None:
                yield _Read(own.element, -1, None, own.others)
            yield from of_parts
        else:
            yield own

    def _read_own(self, outline: Outline, encoding: Encoding, area: bool) -> _Read | None:
        """The hull and the other pieces, each at its best level; None where there are none."""
        name = outline.element.get(f"{encoding.gml}id", "(no gml:id)")
        hull, reason = None, None
        try:
            hull = self._hull(outline, encoding, area, name)
        except _Nothing as nothing:
            reason = nothing
        pieces = []
        for piece in outline.pieces:
            try:
                shape = self._best(piece, [lod for lod in piece.levels if lod], encoding, area, name)
            except _Nothing as nothing:
                reason = nothing
                self._problems.append(f"{name}: a piece of it is left out, {nothing}")
                continue
            if shape is not None:
                pieces.append(shape)
        pieces.sort(key=lambda shape: -int(shape.lods.max(initial=0)))
        if area and pieces:
            # Areas that say what they are go before the whole that they make up, and finer before coarser.
            ranks = sorted({int(shape.lods.max(initial=0)) for shape in pieces}, reverse=True)
            same = [joined([s for s in pieces if int(s.lods.max(initial=0)) == rank]) for rank in ranks]
            if hull is not None:
                same.insert(sum(rank >= int(hull.lods.max(initial=0)) for rank in ranks), hull)
            return _Read(outline.element, int(same[0].lods.max(initial=0)), uncovered(same), None)
        others = joined(pieces) if pieces else None
        if hull is None and others is None:
            if reason is not None:
                raise reason
            return None
        return _Read(outline.element, -1 if hull is None else int(hull.lods.max(initial=0)), hull, others)

    def _hull(self, outline: Outline, encoding: Encoding, area: bool, name: str) -> Shape | None:
        levels = list(outline.hull.levels)
        if levels == [0] and not area:
            return self._footprint(outline, encoding)
        if 0 in levels and not area and _height(outline.element, encoding) is None:
            levels.remove(0)
        return self._best(outline.hull, levels, encoding, area, name)

    def _best(self, piece: Piece, levels: list[int], encoding: Encoding, area: bool, name: str) -> Shape | None:
        """A piece at the best of some levels that is whole enough. _Nothing where all of them are broken."""
        shapes = []
        for lod in levels:
            shape = self._shape(piece.lods[lod], lod, encoding, area)
            shapes.append(shape)
            if len(shape) and not shape.faults:
                break
        usable = [shape for shape in shapes if len(shape)]
        if not usable:
            faults = [fault for shape in shapes for fault in shape.faults]
            if faults:
                raise _Nothing(faults[0])
            return None
        whole = next((shape for shape in usable if shape.whole or _few(shape)), usable[0])
        for shape in shapes[: next(number for number, shape in enumerate(shapes) if shape is whole) + 1]:
            if shape.faults:
                done = "left out" if shape is whole else f"LOD{int(whole.lods[0])} taken instead"
                count = f"{len(shape.faults)} of {len(shape.faults) + len(shape)} polygons"
                lod = levels[next(number for number, each in enumerate(shapes) if each is shape)]
                self._problems.append(f"{name}: {count} at LOD{lod} broken, {done} ({shape.faults[0]})")
        if area or not 2 <= int(whole.lods[0]) <= 3 or SurfaceType.PLAIN in whole.kinds:
            return whole
        # A level that does not say which side is which has nothing to complete a better one with.
        coarser = [n for n in levels if 0 < n < int(whole.lods[0]) and any(g.kind for g in piece.lods[n])]
        return completed(whole, (self._shape(piece.lods[lod], lod, encoding, area) for lod in coarser))

    def _footprint(self, outline: Outline, encoding: Encoding) -> Shape:
        """An object that is nothing but an outline, seen from above; it is raised when it is triangulated."""
        building = any(geometry.semantic is Semantic.BUILDING for geometry in outline.hull.lods[0])
        if building and _height(outline.element, encoding) is None:
            raise _Nothing("only a footprint (LOD0), and no measuredHeight to raise it by")
        shape = self._shape(outline.hull.lods[0], 0, encoding, area=False)
        if not len(shape):
            raise _Nothing(shape.faults[0] if shape.faults else "its footprint (LOD0) is empty")
        return shape

    def _shape(self, geometries: list[Geometry], lod: int, encoding: Encoding, area: bool) -> Shape:
        """The polygons of some lodN elements. Of footprints, the roof's edge if there is one."""
        draft = Draft(lod, area)
        if not lod:
            edge = [g for g in geometries if encoding.footprints.get(local_name(g.node.tag)) is SurfaceType.ROOF]
            edge = edge or [geometry for geometry in geometries if geometry.kind is SurfaceType.ROOF]
            geometries = edge or geometries
        kinds = {}
        if any(not geometry.kind and has_shape(geometry.node) for geometry in geometries):
            # Of the surfaces of a solid, those that boundary surfaces link to.
            kinds = {link: g.kind for g in geometries if g.kind for link in links(g.node, encoding)}
        for geometry in geometries:
            kind = geometry.kind or (
                SurfaceType.PLAIN if lod else encoding.footprints.get(local_name(geometry.node.tag), SurfaceType.FLOOR)
            )
            if "Implicit" in geometry.node.tag:
                self._draw_implicit(draft, geometry, encoding)
            else:
                _draw(draft, geometry.node, encoding, kind, geometry.semantic, kinds, geometry.own)
        return without_repeats(shape_of(draft)) if lod else shape_of(draft)

    def _draw_implicit(self, draft: Draft, geometry: Geometry, encoding: Encoding) -> None:
        try:
            texts = self._templates.rings(geometry.node, encoding)
        except ValueError as error:
            draft.faults.append(str(error))
            return
        for text in texts:
            draft.add(text, "", True, geometry.kind, geometry.semantic)


class _Nothing(Exception):
    """Nothing of an object can be used: why, in words."""


def _few(shape: Shape) -> bool:
    return len(shape.faults) <= _FEW * (len(shape) + len(shape.faults))


def _draw(
    draft: Draft,
    node: etree._Element,
    encoding: Encoding,
    kind: SurfaceType,
    semantic: Semantic,
    kinds: dict[str, SurfaceType],
    own: bool = True,
) -> None:
    """Add the rings below an element to a draft. kinds: of polygons and surfaces that boundary surfaces link to."""
    gml_id, shells = f"{encoding.gml}id", (f"{encoding.gml}Shell", f"{encoding.gml}CompositeSurface")
    outer, linear = f"{encoding.gml}exterior", f"{encoding.gml}LinearRing"
    for side in node.iter(outer, f"{encoding.gml}interior"):
        exterior = side.tag == outer
        if not len(side):
            draft.faults.append("a polygon has no ring")
            continue
        ring = side[0]
        if ring.tag != linear and (ring.tag in shells or local_name(ring.tag) in _SURFACES):
            continue  # of a gml:Solid
        text = ring[0].text if len(ring) == 1 and not len(ring[0]) else " ".join(_positions(ring, encoding))
        names = _names(side.getparent(), node, gml_id) if exterior else []
        found = next((kinds[name] for name in names if name in kinds), kind) if kinds and not kind else kind
        draft.add(text or "", ring.get(gml_id) or "", exterior, found, semantic, own, " ".join(names))


def _positions(ring: etree._Element, encoding: Encoding) -> Iterator[str]:
    for place in ring.iter(f"{encoding.gml}posList", f"{encoding.gml}pos"):
        yield place.text or ""


def _names(polygon: etree._Element, node: etree._Element, gml_id: str) -> list[str]:
    """gml:id of a polygon and of the surfaces that it is in, up to the boundary surface that the lodN element is of."""
    names, element, last = [], polygon, node.getparent()
    while element is not None:
        if name := element.get(gml_id):
            names.append(name)
        if element is last:
            break
        element = element.getparent()
    return names


def _height(element: etree._Element, encoding: Encoding) -> float | None:
    """Metres; None where missing or -9999, PLATEAU's mark for unknown. uro's buildingHeight stands in."""
    for node in chain(element.iterfind(encoding.height), element.iter("{*}buildingHeight")):
        try:
            height = float(node.text or 0)
        except ValueError:
            continue
        if 0 < height < 1000:
            return height
    return None
