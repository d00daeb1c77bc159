"""What stands on the lots: footprints, heights, uses and roofs of a Tokyo neighbourhood.

Lanes are lined by two and three storey houses, streets by shops with flats above, the avenue by offices and hotels
with a few towers among them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely import Polygon

from . import codes
from .building_solids import Solid, extrusion, gable, hip, pyramid, shed, terraced
from .codes import Code
from .faces import plan_ring, rectangle
from .lots import Lot, LotPlan, largest_rectangle
from .road_areas import polygons
from .streets import StreetKind
from .terrain import Terrain

TOWERS = 5
MIN_TOWER_M = 62.0
LOD2_SHARE = 0.7
FOUNDATION_M = 0.3
VACANT_SHARE = 0.025
_LOW_RISE_M = 11.5
_MAX_ROOF_SPAN_M = 11.0
_PARAPET_M = 0.9

_USES = {
    StreetKind.LANE: ((codes.HOUSE, 0.72), (codes.APARTMENTS, 0.22), (codes.HOUSE_WITH_SHOP, 0.06)),
    StreetKind.STREET: (
        (codes.APARTMENTS_WITH_SHOPS, 0.4),
        (codes.COMMERCIAL, 0.25),
        (codes.OFFICE, 0.2),
        (codes.HOUSE_WITH_SHOP, 0.15),
    ),
    StreetKind.AVENUE: (
        (codes.OFFICE, 0.5),
        (codes.COMMERCIAL, 0.25),
        (codes.HOTEL, 0.1),
        (codes.COMMERCIAL_COMPLEX, 0.15),
    ),
}


@dataclass(frozen=True, eq=False)
class Building:
    """One building: ``footprint (n, 2)`` local metres, heights in metres above sea level and above its ground."""

    lot: Lot
    footprint: np.ndarray
    ground: float
    height_m: float
    storeys: int
    usage: Code
    structure: Code
    roof: Code
    lod1: Solid
    lod2: Solid | None


def raise_buildings(rng: np.random.Generator, plan: LotPlan, terrain: Terrain) -> list[Building]:
    """One building a lot, but for lots that stay vacant or are too narrow to build on."""
    room = [_buildable(rng, lot) for lot in plan.lots]
    on_avenue = [i for i, lot in enumerate(plan.lots) if lot.kind is StreetKind.AVENUE]
    towers = set(sorted(on_avenue, key=lambda i: -room[i].area)[:TOWERS])
    buildings = []
    for i, lot in enumerate(plan.lots):
        vacant = rng.random() < VACANT_SHARE and lot.kind is not StreetKind.AVENUE
        if not vacant and _wide_enough(room[i]):
            buildings.append(_raise(rng, lot, room[i], terrain, tower=i in towers))
    return buildings


def _buildable(rng: np.random.Generator, lot: Lot) -> Polygon:
    """The lot less the half metre to each neighbour (Civil Code article 234) and the set-back from the street."""
    street_setback = 0.7 + 0.8 * rng.beta(1, 2)
    to_neighbours = lot.outline.buffer(-rng.uniform(0.4, 0.6), join_style="mitre")
    return to_neighbours.intersection(lot.block.buffer(-street_setback, join_style="mitre"))


def _wide_enough(room: Polygon) -> bool:
    return bool(polygons(room)) and 2 * shapely.maximum_inscribed_circle(room).length > 3.2


def _raise(rng: np.random.Generator, lot: Lot, room: Polygon, terrain: Terrain, tower: bool) -> Building:
    storeys, height = _tower_height(rng) if tower else _height(rng, lot.kind)
    box = largest_rectangle(room, lot.front)
    span = np.linalg.norm(np.diff(box[:3], axis=0), axis=1).min()
    pitched = height < _LOW_RISE_M and span < _MAX_ROOF_SPAN_M and rng.random() < 0.75
    footprint = box
    if not tower and not pitched:
        footprint = _notched(rng, box) if rng.random() < 0.35 else plan_ring(room.simplify(0.05))
    ground = float(terrain.height(footprint).min())
    base = ground - FOUNDATION_M
    if pitched:
        roof, lod2 = _pitched_solid(rng, footprint, base, ground + height)
    else:
        roof, lod2 = codes.FLAT_ROOF, _flat_solid(rng, footprint, base, ground + height, storeys)
    has_lod2 = tower or rng.random() < LOD2_SHARE
    if has_lod2:
        height = max(float(face.ring[:, 2].max()) for face in lod2.roofs) - ground
    uses, weights = zip(*_USES[lot.kind], strict=False)
    return Building(
        lot,
        footprint,
        ground,
        height,
        storeys,
        usage=uses[rng.choice(len(uses), p=weights)],
        structure=codes.ORDINARY_BUILDING if height < _LOW_RISE_M else codes.ROBUST_BUILDING,
        roof=roof,
        lod1=extrusion(footprint, base, ground + height),
        lod2=lod2 if has_lod2 else None,
    )


def _height(rng: np.random.Generator, kind: StreetKind) -> tuple[int, float]:
    """Storeys, and the height in metres of the roof's highest edge."""
    if kind is StreetKind.LANE:
        storeys = int(rng.choice([2, 3, 4, 5, 6], p=[0.57, 0.34, 0.05, 0.03, 0.01]))
        return storeys, 2.85 * storeys + rng.uniform(0.4, 1.6)
    if kind is StreetKind.STREET:
        storeys = 3 + int(min(rng.geometric(0.33) - 1, 8))
        return storeys, 3.1 * storeys + rng.uniform(0.4, 2.0)
    storeys = 5 + int(rng.integers(0, 8))
    return storeys, 3.5 * storeys + rng.uniform(0.5, 3.0)


def _tower_height(rng: np.random.Generator) -> tuple[int, float]:
    storeys = int(rng.integers(16, 29))
    return storeys, max(MIN_TOWER_M, 3.8 * storeys + rng.uniform(1, 4))


def _notched(rng: np.random.Generator, box: np.ndarray) -> np.ndarray:
    """L-shaped ring: the rectangle less one corner."""
    a, b, c, d = np.roll(box, rng.integers(4), axis=0)
    notch_ab, notch_bc = rng.uniform(0.3, 0.55) * (a - b), rng.uniform(0.3, 0.55) * (c - b)
    return np.stack([a, b, c - notch_bc, c - notch_bc + notch_ab, c + notch_ab, d])


def _pitched_solid(rng: np.random.Generator, box: np.ndarray, base: float, top: float) -> tuple[Code, Solid]:
    sides = np.linalg.norm(np.diff(box[:3], axis=0), axis=1)
    # Pitches of 3 to 5 in 10, as tiles and metal sheet are laid in Tokyo.
    eaves = top - rng.uniform(0.3, 0.5) * sides.min() / 2
    style = rng.choice(["gable", "hip", "shed"], p=[0.5, 0.34, 0.16])
    if style == "gable":
        return codes.GABLE_ROOF, gable(box, base, eaves, top)
    if style == "shed":
        return codes.SHED_ROOF, shed(box, base, top - 0.22 * sides.min(), top)
    if sides.max() - sides.min() < 0.5:
        return codes.PYRAMID_ROOF, pyramid(box, base, eaves, top)
    return codes.HIP_ROOF, hip(box, base, eaves, top)


def _flat_solid(rng: np.random.Generator, footprint: np.ndarray, base: float, top: float, storeys: int) -> Solid:
    """Parapet round the roof, a penthouse for stairs and lift on it; towers rise set back from a podium."""
    terraces: list[tuple[np.ndarray, float]] = []
    ring = footprint
    if storeys >= 16:
        terraces.append((ring, base + rng.uniform(11, 17)))
        ring = _inset(ring, rng.uniform(1.8, 3.2))
    terraces.append((ring, top))
    if storeys >= 3 or rng.random() < 0.5:
        ring = _inset(ring, 0.25)
        terraces.append((ring, top - _PARAPET_M))
    circle = shapely.maximum_inscribed_circle(Polygon(ring))
    if storeys >= 3 and circle.length > 2.0:
        # A rectangle of these halves has its corners inside the inscribed circle.
        reach = min(circle.length, 6.0)
        along = (footprint[1] - footprint[0]) / np.linalg.norm(footprint[1] - footprint[0])
        penthouse = rectangle(np.asarray(circle.coords[0]), along, 1.3 * reach, 0.9 * reach)
        terraces.append((penthouse, terraces[-1][1] + rng.uniform(2.4, 3.2) * (1.6 if storeys >= 16 else 1.0)))
    return terraced(base, terraces)


def _inset(ring: np.ndarray, distance_m: float) -> np.ndarray:
    return plan_ring(Polygon(ring).buffer(-distance_m, join_style="mitre"))
