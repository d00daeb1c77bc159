"""Blocks divided into lots that all front a street, the park, and plan shapes that fit a lot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely import LineString, Polygon
from shapely.ops import split, unary_union

from .faces import plan_ring, rectangle
from .road_areas import polygons
from .streets import MAX_SIZE_M, StreetKind, StreetPlan, direction, long_axis

_MIN_FRONTAGE_M = 3.0
_TARGET_AREA_M2 = {StreetKind.LANE: (70, 165), StreetKind.STREET: (130, 380), StreetKind.AVENUE: (380, 1150)}


@dataclass(frozen=True, eq=False)
class Lot:
    """One property: its convex outline, the block it lies in and the street that it fronts (``front`` unit vector)."""

    outline: Polygon
    block: Polygon
    kind: StreetKind
    front: np.ndarray


@dataclass(frozen=True, eq=False)
class LotPlan:
    """All lots of a city and its park."""

    lots: tuple[Lot, ...]
    park: Polygon


class _Frontage:
    """Which edges of the polygons in one block front which kind of street."""

    def __init__(self, plan: StreetPlan, block: Polygon):
        around = block.buffer(0.1)
        near = [street for street in plan.streets if street.area.intersects(around)]
        self._areas = {
            kind: unary_union([street.area.intersection(around) for street in near if street.kind is kind]).buffer(0.05)
            for kind in StreetKind
        }
        # The city goes on beyond the site, so lots at its edge have access from there.
        self._edge = plan.site.exterior.intersection(around).buffer(0.05)

    def length(self, outline: Polygon) -> float:
        """Metres of the outline that lie along any street or the site's edge."""
        return sum(outline.exterior.intersection(area).length for area in (self._edge, *self._areas.values()))

    def best(self, outline: Polygon) -> tuple[StreetKind, np.ndarray]:
        """Highest kind of street with enough frontage (lane where none has) and the direction of that frontage."""
        ring = np.asarray(outline.exterior.coords)
        edges = [LineString(pair) for pair in zip(ring, ring[1:], strict=False)]
        for kind in sorted(StreetKind, key=lambda kind: -kind.value):
            lengths = [edge.intersection(self._areas[kind]).length for edge in edges]
            longest = int(np.argmax(lengths))
            if lengths[longest] >= _MIN_FRONTAGE_M:
                along = ring[longest + 1] - ring[longest]
                return kind, along / np.linalg.norm(along)
        return StreetKind.LANE, long_axis(outline)[0]


def divide_blocks(rng: np.random.Generator, plan: StreetPlan) -> LotPlan:
    """Divide every block into lots by repeated halving; one block off the avenue stays whole as the park."""
    park = _choose_park(rng, plan)
    lots = []
    for block in plan.blocks:
        if block is not park:
            frontage = _Frontage(plan, block)
            lots += [Lot(outline, block, *frontage.best(outline)) for outline in _halve(rng, block, frontage)]
    return LotPlan(tuple(lots), park)


def largest_rectangle(outline: Polygon, along: np.ndarray) -> np.ndarray:
    """Largest plan rectangle ``(4, 2)`` with a side along the unit vector ``along`` inside a convex polygon.

    Searched over a grid of chords: a rectangle is inside a convex polygon where both its end chords are.
    """
    across = np.array([-along[1], along[0]])
    ring = plan_ring(outline) @ np.column_stack([along, across])
    levels = np.linspace(ring[:, 1].min(), ring[:, 1].max(), 41)[1:-1]
    closed = np.vstack([ring, ring[:1]])
    (x0, y0), (x1, y1) = closed[:-1].T[:, :, None], closed[1:].T[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = np.where((y0 - levels) * (y1 - levels) <= 0, x0 + (levels - y0) / (y1 - y0) * (x1 - x0), np.nan)
    left, right = np.nanmin(crossing, axis=0), np.nanmax(crossing, axis=0)
    inner_left = np.maximum(left[:, None], left)
    length = np.minimum(right[:, None], right) - inner_left
    depth = levels - levels[:, None]
    area = np.where((length > 0) & (depth > 0), length * depth, 0)
    low, high = np.unravel_index(np.argmax(area), area.shape)
    centre = np.array([inner_left[low, high] + length[low, high] / 2, (levels[low] + levels[high]) / 2])
    return rectangle(centre[0] * along + centre[1] * across, along, length[low, high], depth[low, high])


def _choose_park(rng: np.random.Generator, plan: StreetPlan) -> Polygon:
    inner = plan.site.buffer(-20)
    quiet = [
        block
        for block in plan.blocks
        if inner.contains(block) and _Frontage(plan, block).best(block)[0] is not StreetKind.AVENUE
    ]
    by_fit = sorted(quiet, key=lambda block: abs(block.area - 1800))
    return by_fit[rng.integers(min(3, len(by_fit)))]


def _halve(rng: np.random.Generator, outline: Polygon, frontage: _Frontage) -> list[Polygon]:
    """Split until lots have the area that is usual on their street; every lot keeps access to a street."""
    kind, _ = frontage.best(outline)
    if outline.area < 1.3 * rng.uniform(*_TARGET_AREA_M2[kind]):
        return [outline]
    along, length, depth = long_axis(outline)
    choices = [along] if length > 1.6 * depth else [along, np.array([-along[1], along[0]])]
    for axis in choices:
        cut_heading = np.arctan2(axis[0], -axis[1]) + np.radians(rng.normal(0, 1.5))
        middle = np.asarray(outline.minimum_rotated_rectangle.centroid.coords[0])
        origin = middle + axis * length * rng.uniform(-0.1, 0.1)
        reach = MAX_SIZE_M * direction(cut_heading)
        halves = polygons(split(outline, LineString([origin - reach, origin + reach])))
        if len(halves) == 2 and all(_usable(half, frontage) for half in halves):
            return [lot for half in halves for lot in _halve(rng, half, frontage)]
    return [outline]


def _usable(outline: Polygon, frontage: _Frontage) -> bool:
    return outline.area > 42 and long_axis(outline)[2] > 5.0 and frontage.length(outline) >= _MIN_FRONTAGE_M
