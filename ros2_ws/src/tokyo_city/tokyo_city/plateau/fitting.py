"""Ground and areas as one surface: ground ends at the edges of areas with heights, areas without lie in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from tokyo_city.plateau.areas import Areas

_ON_EDGE_M = 1e-3  # a corner so near to an area's edge is on it
_LEAST_M2 = 1e-6
_STEP_M = 0.01


@dataclass(frozen=True)
class Fitted:
    """triangles: (t, 3, 3) metres, upward. sources: (t,) the ground triangle that each is a part of.

    areas: (t,) the area without heights that it belongs to, -1 for ground.
    """

    triangles: np.ndarray
    sources: np.ndarray
    areas: np.ndarray


def fitted(ground: np.ndarray, areas: Areas) -> Fitted:
    """Ground triangles (g, 3, 3), cut to fit areas.

    Where an area has heights the ground is taken out, and its corners on the area's outline get the outline's heights:
    the outline is a hard edge of the ground. Then areas without heights get the part of the ground that they cover, so
    that they lie in its planes and meet everything beside them without a step.
    """
    around, sources = _cut_out(ground, _Over.of(ground, areas.polygons[~areas.flat]))
    touched = np.flatnonzero(~_same(around, ground, sources))
    around[touched] = _on_edges(around[touched], areas.edges)
    flat = np.flatnonzero(areas.flat)
    over = _Over.of(around, areas.polygons[flat])
    pieces, of_ground, of_area = _shared(around, over)
    rest, left = _cut_out(around, over)
    pieces = _on_edges(pieces, areas.edges)
    triangles = np.concatenate([rest, pieces])
    source = np.concatenate([sources[left], sources[of_ground]])
    walls, beside = _walls(triangles, areas.edges)
    return Fitted(
        np.concatenate([triangles, walls]),
        np.concatenate([source, source[beside]]),
        np.concatenate([np.full(len(rest), -1), flat[of_area], np.full(len(walls), -1)]),
    )


def outline_of(triangles: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(p,) polygons that a surface of triangles (t, 3, 3) covers, seen from above. edges: (e, 2, 3) its open edges."""
    if not len(edges):
        return np.zeros(0, object)
    lines = shapely.union_all(shapely.linestrings(edges[:, :, :2]))
    faces = shapely.get_parts(shapely.polygonize([lines]))
    inside = shapely.point_on_surface(faces)
    tree = shapely.STRtree(_polygons(triangles))
    return faces[np.unique(tree.query(inside, predicate="intersects")[0])]


def _polygons(triangles: np.ndarray) -> np.ndarray:
    return shapely.polygons(triangles[:, [0, 1, 2, 0], :2])


def _same(around: np.ndarray, ground: np.ndarray, sources: np.ndarray) -> np.ndarray:
    return (around == ground[sources]).all(axis=(1, 2))


@dataclass(frozen=True)
class _Over:
    """Ground triangles and polygons over them. cells: (g,) the triangles from above; polygons: (p,).

    cell, other: (k,) triangle and polygon of each pair that touches, ordered.
    """

    cells: np.ndarray
    polygons: np.ndarray
    cell: np.ndarray
    other: np.ndarray

    @classmethod
    def of(cls, ground: np.ndarray, polygons: np.ndarray) -> _Over:
        """Of ground triangles (g, 3, 3) and polygons."""
        if not len(ground) or not len(polygons):
            return cls(np.zeros(0, object), polygons, np.zeros(0, np.int64), np.zeros(0, np.int64))
        cells = _polygons(ground)
        shapely.prepare(polygons)
        other, cell = shapely.STRtree(cells).query(polygons, predicate="intersects")
        order = np.lexsort((other, cell))
        return cls(cells, polygons, cell[order], other[order])


def _cut_out(ground: np.ndarray, over: _Over) -> tuple[np.ndarray, np.ndarray]:
    """What is left of ground triangles outside all polygons, and the triangle that each is a part of."""
    hit, first = np.unique(over.cell, return_index=True)
    if not len(hit):
        return ground.copy(), np.arange(len(ground))
    # Neighbouring triangles have the same polygons over them, again and again.
    unions: dict[bytes, shapely.Geometry] = {}
    covers = []
    for group in np.split(over.other, first[1:]):
        key = group.tobytes()
        if key not in unions:
            unions[key] = over.polygons[group[0]] if len(group) == 1 else shapely.union_all(over.polygons[group])
        covers.append(unions[key])
    pieces, of_hit = _triangles(shapely.difference(over.cells[hit], covers))
    whole = np.setdiff1d(np.arange(len(ground)), hit)
    sources = np.concatenate([whole, hit[of_hit]])
    return np.concatenate([ground[whole], _lifted(pieces, ground[hit[of_hit]])]), sources


def _shared(ground: np.ndarray, over: _Over) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What ground triangles and polygons have in common: triangles, and the ground and the polygon of each."""
    if not len(over.cell):
        return np.zeros((0, 3, 3)), over.cell, over.other
    pieces, of_pair = _triangles(shapely.intersection(over.cells[over.cell], over.polygons[over.other]))
    return _lifted(pieces, ground[over.cell[of_pair]]), over.cell[of_pair], over.other[of_pair]


def _triangles(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (t, 3, 2), counter-clockwise, of any shapes' polygons, and the shape of each."""
    parts, of_part = shapely.get_parts(shapes, return_index=True)
    solid = shapely.area(parts) > _LEAST_M2
    parts, of_part = parts[solid], of_part[solid]
    cut, of_cut = shapely.get_parts(shapely.constrained_delaunay_triangles(parts), return_index=True)
    if not len(cut):
        return np.zeros((0, 3, 2)), np.zeros(0, np.int64)
    corners = shapely.get_coordinates(cut).reshape(-1, 4, 2)[:, :3]
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    doubled = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    corners = np.where((doubled < 0)[:, None, None], corners[:, ::-1], corners)
    kept = np.abs(doubled) > 2 * _LEAST_M2
    return corners[kept], of_part[of_cut[kept]]


def _lifted(pieces: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """(t, 3, 3): triangles (t, 3, 2) in the planes of others (t, 3, 3)."""
    a, u, v = planes[:, 0], planes[:, 1] - planes[:, 0], planes[:, 2] - planes[:, 0]
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    away = pieces - a[:, None, :2]
    s = (away[:, :, 0] * v[:, None, 1] - away[:, :, 1] * v[:, None, 0]) / area[:, None]
    t = (u[:, None, 0] * away[:, :, 1] - u[:, None, 1] * away[:, :, 0]) / area[:, None]
    height = a[:, None, 2] + s * u[:, None, 2] + t * v[:, None, 2]
    # No higher and no lower than the triangle that it is a part of, however narrow that is.
    height = np.clip(height, planes[:, :, 2].min(axis=1)[:, None], planes[:, :, 2].max(axis=1)[:, None])
    return np.concatenate([pieces, height[:, :, None]], axis=2)


def _on_edges(triangles: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Triangles (t, 3, 3) whose corners on an edge (e, 2, 3) have its height, the lowest of several."""
    points = triangles.reshape(-1, 3).copy()
    point, _, height = _met(points, edges)
    points[np.unique(point), 2] = np.inf
    np.minimum.at(points[:, 2], point, height)
    return points.reshape(-1, 3, 3)


def _met(points: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each point (n, 3) that is on an edge (e, 2, 3), seen from above, the edge, and its height there."""
    if not len(points) or not len(edges):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    tree = shapely.STRtree(shapely.linestrings(edges[:, :, :2]))
    point, edge = tree.query(shapely.points(points[:, :2]), predicate="dwithin", distance=_ON_EDGE_M)
    start, along = edges[edge, 0], edges[edge, 1] - edges[edge, 0]
    length = np.maximum((along[:, :2] ** 2).sum(axis=1), 1e-12)
    share = np.clip(((points[point, :2] - start[:, :2]) * along[:, :2]).sum(axis=1) / length, 0, 1)
    return point, edge, start[:, 2] + share * along[:, 2]


def _walls(ground: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upright triangles (w, 3, 3) from sides of ground triangles (t, 3, 3) up to the lowest edge (e, 2, 3) above each.

    And the ground triangle below each. The corners of ground meet the lowest of several edges: without a wall one could
    look in under the end of a median, or the side of a ramp, where no edge runs at its foot.
    """
    points = ground.reshape(-1, 3)
    point, edge, height = _met(points, edges)
    if not len(point):
        return np.zeros((0, 3, 3)), point
    key = point * len(edges) + edge
    order = np.argsort(key)
    key, point, edge, height = key[order], point[order], edge[order], height[order]
    after = point - point % 3 + (point + 1) % 3
    other = np.minimum(np.searchsorted(key, after * len(edges) + edge), len(key) - 1)
    along = np.flatnonzero(key[other] == after * len(edges) + edge)
    lowest = along[np.lexsort((height[along] + height[other[along]], point[along]))]
    _, first = np.unique(point[lowest], return_index=True)
    lowest = lowest[first]
    a, b, point = points[point[lowest]], points[after[lowest]], point[lowest]
    over_a, over_b = a.copy(), b.copy()
    over_a[:, 2], over_b[:, 2] = height[lowest], height[other[lowest]]
    wanted = np.maximum(over_a[:, 2] - a[:, 2], over_b[:, 2] - b[:, 2]) > _STEP_M
    wanted &= np.linalg.norm((b - a)[:, :2], axis=1) > _ON_EDGE_M
    a, b, over_a, over_b, point = a[wanted], b[wanted], over_a[wanted], over_b[wanted], point[wanted]
    walls = np.concatenate([np.stack([a, over_b, b], axis=1), np.stack([a, over_a, over_b], axis=1)])
    return walls, np.tile(point // 3, 2)
