"""Polygons whose rings cross or touch themselves: the area that they enclose, by the even-odd rule."""

from __future__ import annotations

import mapbox_earcut
import numpy as np
import shapely


def repaired(
    local: np.ndarray, plane: np.ndarray, ends: np.ndarray, normal: np.ndarray, axis: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, triangles (t, 3) into them, and for each added point the index of the nearest given one.

    local: (n, 3) metres from the first point. plane: (n, 2) the same without the coordinate `axis`, handedness kept.
    ends: the end of each ring. normal: (3,) of the polygon. The points come first as they were given; where rings
    cross, points are added, in the plane through the first point.
    """
    rings = np.split(plane, ends[:-1].astype(int))
    # Hanging lines and points have no area; each hole is cut out of what its exterior encloses.
    area = shapely.make_valid(shapely.Polygon(rings[0]))
    for ring in rings[1:]:
        area = area.difference(shapely.make_valid(shapely.Polygon(ring)))
    faces = [face for face in shapely.get_parts(area) if face.geom_type == "Polygon" and face.area > 1e-9]
    number = {tuple(point): index for index, point in reversed(list(enumerate(plane)))}
    fresh: list[tuple[float, float]] = []
    triangles = [np.zeros((0, 3), dtype=np.int64)]
    for face in faces:
        outlines = [np.asarray(ring.coords)[:-1] for ring in (face.exterior, *face.interiors)]
        corners = np.concatenate(outlines)
        cut = mapbox_earcut.triangulate_float64(corners, np.cumsum([len(o) for o in outlines]).astype(np.uint32))
        for corner in map(tuple, corners):
            if corner not in number:
                number[corner] = len(plane) + len(fresh)
                fresh.append(corner)
        index = np.array([number[corner] for corner in map(tuple, corners)])
        triangles.append(index[cut.astype(np.int64)].reshape(-1, 3))
    extra = np.array(fresh).reshape(-1, 2)
    lifted = np.empty((len(extra), 3))
    keep = [(1, 2), (2, 0), (0, 1)][axis]
    lifted[:, keep] = extra
    lifted[:, axis] = -(extra @ normal[list(keep)]) / normal[axis]
    nearest = ((extra[:, None] - plane[None]) ** 2).sum(axis=2).argmin(axis=1)
    return np.concatenate([local, lifted]), np.concatenate(triangles), nearest
