"""City objects before their levels of detail are chosen: hull, parts, installations and traffic areas, by level."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from lxml import etree

from occ_core.classes import Semantic
from tokyo_city.plateau.codes import SurfaceType, traffic_area_class
from tokyo_city.plateau.encodings import Encoding

_HREF = "{http://www.w3.org/1999/xlink}href"
# LOD4 is an interior around LOD3: only where there is nothing else. LOD0 is a footprint, which has to be raised.
_BY_WORTH = (3, 2, 1, 4, 0)


@dataclass(frozen=True)
class Geometry:
    """An element lodN..., and what its polygons are. own: it is the object's, not a boundary surface's."""

    node: etree._Element
    kind: SurfaceType
    semantic: Semantic
    own: bool


@dataclass
class Piece:
    """What has levels of detail of its own: an object's hull, an installation, a traffic area."""

    lods: dict[int, list[Geometry]] = field(default_factory=lambda: defaultdict(list))

    @property
    def levels(self) -> list[int]:
        """Levels with something to read, the best first."""
        return [lod for lod in _BY_WORTH if any(has_shape(geometry.node) for geometry in self.lods.get(lod, ()))]


@dataclass
class Outline:
    """A city object or a part of one before its levels are chosen: its hull, other pieces, and parts."""

    element: etree._Element
    hull: Piece = field(default_factory=Piece)
    pieces: list[Piece] = field(default_factory=list)
    parts: list[Outline] = field(default_factory=list)


@lru_cache(maxsize=4096)
def local_name(tag: str) -> str:
    """A tag without its namespace."""
    return tag.rpartition("}")[2]


def outline_of(element: etree._Element, encoding: Encoding, semantic: Semantic) -> Outline:
    """A city object's geometries, by what they are of and by level."""
    outline = Outline(element)
    if local_name(element.tag) == "ReliefFeature":
        outline.hull.lods[1].append(Geometry(element, SurfaceType.PLAIN, semantic, True))
    else:
        _explore(element, encoding, SurfaceType.PLAIN, semantic, outline, outline.hull)
    return outline


def _explore(
    element: etree._Element, encoding: Encoding, kind: SurfaceType, semantic: Semantic, outline: Outline, piece: Piece
) -> None:
    for child in element:
        name = local_name(child.tag)
        if name in encoding.parts:
            part = Outline(child)
            _explore(child, encoding, SurfaceType.PLAIN, semantic, part, part.hull)
            outline.parts.append(part)
        elif not len(child) or name in encoding.unseen or name.endswith("Attribute"):
            continue
        elif name.startswith("lod") and name[3:4].isdigit():
            own = element is outline.element or local_name(element.tag) in encoding.members
            piece.lods[int(name[3])].append(Geometry(child, kind, semantic, own))
        elif name in encoding.members:
            member = Piece()
            outline.pieces.append(member)
            known = name.endswith("TrafficArea") and semantic in (Semantic.ROAD, Semantic.SIDEWALK)
            function = (text_of(child, "function") or "") if known else ""
            meant = traffic_area_class(function) if function else semantic
            _explore(child, encoding, SurfaceType.PLAIN, meant, outline, member)
        else:
            _explore(child, encoding, encoding.surfaces.get(name, kind), semantic, outline, piece)


def has_shape(node: etree._Element) -> bool:
    """Has it rings, or does it all link to somewhere else?"""
    return next(node.iter("{*}exterior", "{*}ImplicitGeometry"), None) is not None


def links(node: etree._Element, encoding: Encoding) -> Iterator[str]:
    """Ids of polygons that are somewhere else, most often in the object's solid."""
    for member in node.iter(f"{encoding.gml}surfaceMember", f"{encoding.gml}baseSurface"):
        if href := member.get(_HREF):
            yield href.removeprefix("#")


def why_empty(element: etree._Element) -> str:
    """What an object has instead of surfaces that can be seen, as a reason for leaving it out."""
    library = next((node.text for node in element.iter("{*}libraryObject") if node.text), None)
    if library:
        return f"its shape is in a library object ({library.strip()}), not in the file"
    hrefs = [href for node in element.iter() if (href := node.get(_HREF))]
    if elsewhere := next((href.partition("#")[0] for href in hrefs if not href.startswith("#") and "#" in href), ""):
        return f"its surfaces are links to another file ({elsewhere}) and are read from there alone"
    lods = (local_name(node.tag) for node in element.iter("{*}*") if len(node))
    levels = sorted({name for name in lods if re.match(r"lod\d", name)})
    if next(element.iter("{*}LinearRing"), None) is not None:
        return f"only surfaces that nobody can see from outside ({', '.join(levels)})"
    if levels and next(element.iter("{*}pos", "{*}posList"), None) is not None:
        return f"only lines or points ({', '.join(levels)}), which have no surface"
    if hrefs:
        return f"its surfaces are links to what is not in it ({hrefs[0]})"
    return "no geometry at all" if not levels else f"no geometry in its {', '.join(levels)}"


def text_of(element: etree._Element, name: str) -> str | None:
    """The text of a child, by its name without namespace."""
    for child in element:
        if local_name(child.tag) == name and child.text is not None:
            return child.text.strip()
    return None
