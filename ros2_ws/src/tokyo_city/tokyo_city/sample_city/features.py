"""City objects as PLATEAU features: the elements, codes and levels of detail of bldg, tran, dem, veg and frn."""

from __future__ import annotations

import numpy as np
from lxml import etree

from . import codes
from .buildings import Building
from .citygml_writer import SRS_NAME, CityModel, child, coded, measured, name
from .codes import Code
from .draping import drape, draped_outline, raised_slab
from .faces import Face, lift
from .road_areas import Intersection, StreetAreas
from .street_furniture import Furniture
from .streets import StreetKind
from .terrain import Terrain
from .vegetation import HEDGE_HEIGHT_M, Hedge, Tree

SIDEWALK_HEIGHT_M = 0.15
_KERB_FOOT_M = 0.1
_STREET_NAMES = {StreetKind.AVENUE: "大通り", StreetKind.STREET: "通り", StreetKind.LANE: "路地"}


def write_building(model: CityModel, building: Building, number: int) -> None:
    """bldg:Building with LOD0 roof edge, LOD1 solid and, where modelled, LOD2 solid and boundary surfaces."""
    element = model.member("bldg:Building")
    coded(element, "bldg:class", building.structure)
    coded(element, "bldg:usage", building.usage)
    if building.lod2:
        coded(element, "bldg:roofType", building.roof)
    measured(element, "bldg:measuredHeight", building.height_m)
    child(element, "bldg:storeysAboveGround", building.storeys)
    roof_edge = Face(lift(building.footprint, building.ground + building.height_m))
    model.multi_surface(element, "bldg:lod0RoofEdge", [roof_edge])
    model.polygons(model.composite_shell(element, "bldg:lod1Solid"), building.lod1.faces)
    if building.lod2:
        shell = model.composite_shell(element, "bldg:lod2Solid")
        surfaces = [
            (kind, faces, [model.new_id("poly") for _ in faces])
            for kind, groups in (
                ("GroundSurface", [building.lod2.ground]),
                ("WallSurface", [[face] for face in building.lod2.walls]),
                ("RoofSurface", [[face] for face in building.lod2.roofs]),
            )
            for faces in groups
        ]
        for _, _, ids in surfaces:
            for polygon_id in ids:
                child(shell, "gml:surfaceMember").set(name("xlink:href"), f"#{polygon_id}")
        for kind, faces, ids in surfaces:
            surface = child(child(element, "bldg:boundedBy"), f"bldg:{kind}")
            surface.set(name("gml:id"), model.new_id(kind[:4].lower()))
            multi_surface = child(child(surface, "bldg:lod2MultiSurface"), "gml:MultiSurface")
            model.polygons(multi_surface, faces, ids)
    identity = child(child(element, "uro:buildingIDAttribute"), "uro:BuildingIDAttribute")
    child(identity, "uro:buildingID", f"{codes.CHIYODA.value}-bldg-{number}")
    coded(identity, "uro:prefecture", codes.TOKYO)
    coded(identity, "uro:city", codes.CHIYODA)


def write_street(model: CityModel, areas: StreetAreas, terrain: Terrain) -> None:
    """tran:Road of one street between its intersections: LOD1 outlines, LOD3 traffic areas with raised sidewalks."""
    along = areas.street.along
    avenue = areas.street.kind is StreetKind.AVENUE
    road = _road(model, _STREET_NAMES[areas.street.kind], codes.PREFECTURAL_ROAD if avenue else codes.MUNICIPAL_ROAD)
    for area in areas.carriageway:
        _traffic_area(model, road, "TrafficArea", codes.CARRIAGEWAY, drape(area, along, terrain))
    for area in areas.sidewalk:
        slab = raised_slab(area, along, terrain, SIDEWALK_HEIGHT_M, _KERB_FOOT_M)
        _traffic_area(model, road, "TrafficArea", codes.SIDEWALK, slab)
    for area in areas.median:
        slab = raised_slab(area, along, terrain, SIDEWALK_HEIGHT_M, _KERB_FOOT_M)
        _traffic_area(model, road, "AuxiliaryTrafficArea", codes.ISLAND, slab)
    outlines = [draped_outline(area, along, terrain) for area in (*areas.carriageway, *areas.sidewalk, *areas.median)]
    model.multi_surface(road, "tran:lod1MultiSurface", outlines)


def write_intersection(model: CityModel, crossing: Intersection, terrain: Terrain) -> None:
    """tran:Road of one intersection, which PLATEAU divides from the roads that meet there."""
    road = _road(model, "交差点", codes.MUNICIPAL_ROAD)
    faces = drape(crossing.area, crossing.street.along, terrain)
    _traffic_area(model, road, "TrafficArea", codes.INTERSECTION, faces)
    model.multi_surface(road, "tran:lod1MultiSurface", [draped_outline(crossing.area, crossing.street.along, terrain)])


def write_relief(model: CityModel, triangles: np.ndarray) -> None:
    """dem:ReliefFeature with one TIN of ``triangles (n, 3, 3)`` local metres."""
    relief = model.member("dem:ReliefFeature")
    child(relief, "dem:lod", 1)
    tin = child(child(relief, "dem:reliefComponent"), "dem:TINRelief")
    tin.set(name("gml:id"), model.new_id())
    child(tin, "dem:lod", 1)
    surface = child(child(tin, "dem:tin"), "gml:TriangulatedSurface", srsName=SRS_NAME, srsDimension="3")
    patches = child(surface, "gml:trianglePatches")
    for pos_list in model.pos_lists(list(triangles)):
        exterior = child(child(patches, "gml:Triangle"), "gml:exterior")
        child(child(exterior, "gml:LinearRing"), "gml:posList", pos_list)


def write_tree(model: CityModel, tree: Tree) -> None:
    """veg:SolitaryVegetationObject with trunk and crown as LOD2."""
    element = model.member("veg:SolitaryVegetationObject")
    coded(element, "veg:class", tree.size)
    coded(element, "veg:function", tree.species)
    measured(element, "veg:height", tree.height_m)
    measured(element, "veg:trunkDiameter", tree.trunk_m)
    measured(element, "veg:crownDiameter", tree.crown_m)
    model.multi_surface(element, "veg:lod2Geometry", tree.faces())


def write_hedge(model: CityModel, hedge: Hedge) -> None:
    """veg:PlantCover as LOD2 surfaces."""
    element = model.member("veg:PlantCover")
    coded(element, "veg:class", codes.LOW_PLANTING)
    measured(element, "veg:averageHeight", HEDGE_HEIGHT_M)
    model.multi_surface(element, "veg:lod2MultiSurface", hedge.faces)


def write_furniture(model: CityModel, furniture: Furniture) -> None:
    """frn:CityFurniture as LOD3 surfaces."""
    element = model.member("frn:CityFurniture")
    coded(element, "frn:class", furniture.facility)
    coded(element, "frn:function", furniture.kind)
    model.multi_surface(element, "frn:lod3Geometry", furniture.faces)


def _road(model: CityModel, road_name: str, function: Code) -> etree._Element:
    road = model.member("tran:Road", road_name)
    coded(road, "tran:class", codes.ROAD)
    coded(road, "tran:function", function)
    return road


def _traffic_area(model: CityModel, road: etree._Element, kind: str, function: Code, faces: list[Face]) -> None:
    area = child(child(road, f"tran:{kind[0].lower()}{kind[1:]}"), f"tran:{kind}")
    area.set(name("gml:id"), model.new_id("traf"))
    coded(area, "tran:function", function)
    model.multi_surface(area, "tran:lod3MultiSurface", faces)
