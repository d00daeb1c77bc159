"""The two encodings of PLATEAU's city model: what CityGML 2.0 (GML 3.1) and CityGML 3.0 (GML 3.2) call the same thing.

CityGML 2.0: versions 1 to 5 of the standard product specification; 3.0: from version 6 on. Modules have namespaces of
their own in both; their element names do not clash, so that the reader goes by names without namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from occ_core.classes import Semantic
from tokyo_city.plateau.codes import SurfaceType


@dataclass(frozen=True)
class Encoding:
    """Names and paths of one encoding. Paths are lxml's, below the element that they belong to.

    core, appearance, gml: namespaces in braces. features: city objects and their classes. parts: a building consists
    of them. members: pieces of an object that have levels of detail of their own. unseen: what nobody can see or touch.
    surfaces: boundary surfaces and openings, and what they are. footprints: elements of LOD0, and what they show.
    height: measured, of a building. template: the shape of an implicit geometry. texture_ring: the ring of texture
    coordinates, an attribute (`@`) of theirs or an element beside them.
    """

    version: str
    core: str
    appearance: str
    gml: str
    features: dict[str, Semantic]
    parts: frozenset[str]
    members: frozenset[str]
    unseen: frozenset[str]
    surfaces: dict[str, SurfaceType]
    footprints: dict[str, SurfaceType]
    height: str
    template: str
    texture_ring: str

    @property
    def member(self) -> str:
        """Tag of what holds a city object."""
        return f"{self.core}cityObjectMember"

    @property
    def texture(self) -> str:
        """Tag of an image and its coordinates."""
        return f"{self.appearance}ParameterizedTexture"

    @property
    def material(self) -> str:
        """Tag of a colour and its surfaces."""
        return f"{self.appearance}X3DMaterial"

    @property
    def triangle(self) -> str:
        """Tag of a piece of relief."""
        return f"{self.gml}Triangle"

    def texture_coordinates(self, texture: etree._Element) -> Iterator[tuple[str, str]]:
        """The id of each ring of a `texture`, and its coordinates."""
        for both in texture.iter(f"{self.appearance}TexCoordList"):
            coordinates = both.findall(f"{self.appearance}textureCoordinates")
            if self.texture_ring.startswith("@"):
                rings = [each.get(self.texture_ring[1:]) for each in coordinates]
            else:
                rings = [each.text for each in both.findall(f"{self.appearance}{self.texture_ring}")]
            for ring, each in zip(rings, coordinates, strict=False):
                if ring:
                    yield ring.strip().removeprefix("#"), each.text or ""


_FEATURES = {
    "Building": Semantic.BUILDING,
    "UndergroundBuilding": Semantic.BUILDING,
    "Road": Semantic.ROAD,
    "Square": Semantic.SIDEWALK,
    "Track": Semantic.SIDEWALK,
    "Railway": Semantic.TERRAIN,
    "Waterway": Semantic.WATER,
    "ReliefFeature": Semantic.TERRAIN,
    "SolitaryVegetationObject": Semantic.VEGETATION,
    "PlantCover": Semantic.VEGETATION,
    "CityFurniture": Semantic.FURNITURE,
    "Bridge": Semantic.BRIDGE,
    "Tunnel": Semantic.OTHER,
    "OtherConstruction": Semantic.OTHER,
    "WaterBody": Semantic.WATER,
    "Zone": Semantic.TERRAIN,
}
# `Track` is PLATEAU's footpath, `Waterway` a ships' route, `Zone` the area model. Nobody walks or drives on a railway.
_PARTS = frozenset({"BuildingPart", "BridgePart", "TunnelPart"})
_AREAS = frozenset({"TrafficArea", "AuxiliaryTrafficArea"})
_INSTALLATIONS = frozenset({"BuildingInstallation", "BridgeInstallation", "TunnelInstallation"})
_UNSEEN = frozenset({"ClosureSurface", "WaterGroundSurface", "Room", "BridgeRoom", "HollowSpace"})
_SURFACES = {
    "RoofSurface": SurfaceType.ROOF,
    "OuterFloorSurface": SurfaceType.ROOF,
    "WallSurface": SurfaceType.WALL,
    "GroundSurface": SurfaceType.FLOOR,
    "OuterCeilingSurface": SurfaceType.FLOOR,
}

CITYGML_2 = Encoding(
    version="2.0",
    core="{http://www.opengis.net/citygml/2.0}",
    appearance="{http://www.opengis.net/citygml/appearance/2.0}",
    gml="{http://www.opengis.net/gml}",
    features=_FEATURES | {"GenericCityObject": Semantic.OTHER},
    parts=_PARTS,
    members=_AREAS | _INSTALLATIONS | {"BridgeConstructionElement"},
    unseen=_UNSEEN | {"WaterClosureSurface"},
    surfaces=_SURFACES | {"Door": SurfaceType.WALL, "Window": SurfaceType.WALL},
    footprints={
        "lod0FootPrint": SurfaceType.FLOOR,
        "lod0RoofEdge": SurfaceType.ROOF,
        "lod0Geometry": SurfaceType.FLOOR,
    },
    height="{*}measuredHeight",
    template="relativeGMLGeometry",
    texture_ring="@ring",
)
CITYGML_3 = Encoding(
    version="3.0",
    core="{http://www.opengis.net/citygml/3.0}",
    appearance="{http://www.opengis.net/citygml/appearance/3.0}",
    gml="{http://www.opengis.net/gml/3.2}",
    features=_FEATURES
    | {
        "GenericOccupiedSpace": Semantic.OTHER,
        "GenericUnoccupiedSpace": Semantic.OTHER,
        "GenericThematicSurface": Semantic.OTHER,
    },
    parts=_PARTS,
    members=_AREAS
    | _INSTALLATIONS
    | {"Section", "Intersection", "TrafficSpace", "AuxiliaryTrafficSpace"}
    | {"BuildingConstructiveElement", "BridgeConstructiveElement", "TunnelConstructiveElement"},
    unseen=_UNSEEN | {"BuildingRoom", "ClearanceSpace", "HoleSurface", "Marking", "BuildingUnit", "Storey"},
    surfaces=_SURFACES
    | {
        "DoorSurface": SurfaceType.WALL,
        "WindowSurface": SurfaceType.WALL,
        "Door": SurfaceType.WALL,
        "Window": SurfaceType.WALL,
    },
    footprints={"lod0MultiSurface": SurfaceType.FLOOR},
    height="{*}height/{*}Height/{*}value",
    template="relativeGeometry",
    texture_ring="ring",
)
ENCODINGS = (CITYGML_2, CITYGML_3)
