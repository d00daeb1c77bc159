"""The whole neighbourhood: drawn in order from one seed, then written feature by feature and mesh by mesh."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occ_core.output_folders import FolderKind, check_replaceable, replaced

from .buildings import Building, raise_buildings
from .citygml_writer import CityModel
from .codes import write_codelists
from .features import (
    SIDEWALK_HEIGHT_M,
    write_building,
    write_furniture,
    write_hedge,
    write_intersection,
    write_relief,
    write_street,
    write_tree,
)
from .georeference import GEODETIC_EPSG, Georeference
from .lots import LotPlan, divide_blocks
from .road_areas import RoadAreas, survey_road_areas
from .street_furniture import Furniture, place_furniture
from .streets import StreetPlan, plan_streets
from .terrain import Terrain, relief_tin, roll_terrain
from .vegetation import Hedge, Tree, plant_hedge, plant_trees

MARGIN_M = 20.0
_DESCRIPTION = "sample_city.json"  # which no other folder of CityGML has
SAMPLE_CITY = FolderKind("a generated sample city", (_DESCRIPTION,), (_DESCRIPTION, "udx", "codelists"))


@dataclass(frozen=True, eq=False)
class SampleCity:
    """Everything in the city, in local metres (x east, y north, z above sea level); ``relief`` is ``(n, 3, 3)``."""

    terrain: Terrain
    plan: StreetPlan
    roads: RoadAreas
    lots: LotPlan
    buildings: tuple[Building, ...]
    trees: tuple[Tree, ...]
    hedge: Hedge
    furniture: tuple[Furniture, ...]
    relief: np.ndarray


def build_sample_city(rng: np.random.Generator, size_m: float) -> SampleCity:
    """Draw a neighbourhood on a square of side ``size_m``."""
    terrain = roll_terrain(rng)
    plan = plan_streets(rng, size_m)
    roads = survey_road_areas(plan)
    lots = divide_blocks(rng, plan)
    buildings = raise_buildings(rng, lots, terrain)
    return SampleCity(
        terrain,
        plan,
        roads,
        lots,
        buildings=tuple(buildings),
        trees=tuple(plant_trees(rng, roads, lots, buildings, terrain, SIDEWALK_HEIGHT_M)),
        hedge=plant_hedge(lots.park, terrain),
        furniture=tuple(place_furniture(rng, plan, roads, lots, buildings, terrain, SIDEWALK_HEIGHT_M)),
        relief=relief_tin(terrain, size_m / 2 + MARGIN_M, plan.rights_of_way),
    )


def write_sample_city(folder: Path, *, seed: int = 7, size_m: float = 480.0) -> Path:
    """Write ``<folder>/udx/<feature>/<mesh>_<feature>_6697_op.gml`` and ``<folder>/codelists``; return the udx path.

    The same seed and size give the same bytes. A city that outgrows its mesh is divided by the meshes that hold the
    middles of its features.
    """
    check_replaceable(folder, SAMPLE_CITY)
    city = build_sample_city(np.random.default_rng(seed), size_m)
    with replaced(folder, SAMPLE_CITY) as new:
        (new / _DESCRIPTION).write_text(json.dumps({"seed": seed, "size_m": size_m}))
        write_codelists(new / "codelists")
        _write_documents(city, new / "udx", seed)
    return Path(folder) / "udx"


def _write_documents(city: SampleCity, udx: Path, seed: int) -> None:
    documents = _Documents(udx, seed)
    terrain = city.terrain

    for number, building in enumerate(city.buildings, start=1):
        write_building(documents.at("bldg", building.footprint), building, number)
    for areas in city.roads.streets:
        write_street(documents.at("tran", np.asarray(areas.street.area.exterior.coords)), areas, terrain)
    for crossing in city.roads.intersections:
        write_intersection(documents.at("tran", np.asarray(crossing.area.exterior.coords)), crossing, terrain)
    for model, triangles in documents.divide("dem", city.relief):
        write_relief(model, triangles)
    for tree in city.trees:
        write_tree(documents.at("veg", tree.foot[None]), tree)
    write_hedge(documents.at("veg", np.asarray(city.lots.park.exterior.coords)), city.hedge)
    for furniture in city.furniture:
        write_furniture(documents.at("frn", furniture.faces[0].ring), furniture)
    documents.save()


class _Documents:
    """The CityGML documents of one city, one a feature type and mesh."""

    def __init__(self, udx: Path, seed: int):
        self._udx = udx
        self._seed = seed
        self._georeference = Georeference()
        self._models: dict[tuple[str, str], CityModel] = {}

    def at(self, feature: str, points: np.ndarray) -> CityModel:
        """The document of ``feature`` for the mesh at the middle of ``points``."""
        return self._of(feature, self._georeference.mesh_at(points))

    def divide(self, feature: str, triangles: np.ndarray) -> Iterable[tuple[CityModel, np.ndarray]]:
        """The documents of ``feature`` with the triangles ``(n, 3, 3)`` that each holds."""
        meshes = np.array([self._georeference.mesh_at(triangle) for triangle in triangles])
        for mesh in np.unique(meshes):
            yield self._of(feature, str(mesh)), triangles[meshes == mesh]

    def save(self) -> None:
        for (feature, mesh), model in self._models.items():
            model.save(self._udx / feature / f"{mesh}_{feature}_{GEODETIC_EPSG}_op.gml")

    def _of(self, feature: str, mesh: str) -> CityModel:
        if (feature, mesh) not in self._models:
            self._models[feature, mesh] = CityModel(feature, self._seed, mesh, self._georeference)
        return self._models[feature, mesh]
