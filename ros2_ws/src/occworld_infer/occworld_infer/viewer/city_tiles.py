"""The city on the page: whole tiles about where one looks, a mesh per class, within a budget of triangles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import viser

from occ_core.citymap import CityMap
from occ_core.classes import CLASSES, Semantic
from occ_core.poses import Pose

TILE_M = 64.0
_REACH_M = 400.0
_MOST_TRIANGLES = 200_000
_MOVED_M = TILE_M / 2
# What stands between the camera and the street.
_SEE_THROUGH: dict[int, float] = {Semantic.BUILDING: 0.55, Semantic.VEGETATION: 0.6}
Tile = tuple[int, int]


@dataclass(frozen=True)
class TilePart:
    """The triangles of one class in a tile. vertices: (v, 3) float32 metres from the tile's corner; faces: (f, 3)."""

    semantic: int
    vertices: np.ndarray
    faces: np.ndarray


class CityTiles:
    """A city cut into squares; a triangle belongs to the square that its middle is in."""

    def __init__(self, city: CityMap) -> None:
        self._city = city
        squares = np.floor(city.triangles[:, :, :2].mean(axis=1) / TILE_M).astype(np.int64)
        order = np.lexsort((city.classes, squares[:, 1], squares[:, 0]))
        self._tiles, starts = np.unique(squares[order], axis=0, return_index=True)
        self._faces = np.split(order, starts[1:])

    def near(self, position: np.ndarray, reach: float = _REACH_M, most_triangles: int = _MOST_TRIANGLES) -> list[Tile]:
        """The tiles to show about a point of map, the nearest first, until the triangles are spent. reach: metres."""
        apart = np.linalg.norm((self._tiles + 0.5) * TILE_M - position[:2], axis=1)
        chosen, triangles = [], 0
        for row in np.argsort(apart, kind="stable"):
            triangles += len(self._faces[row])
            if apart[row] > reach or (triangles > most_triangles and chosen):
                break
            chosen.append((int(self._tiles[row, 0]), int(self._tiles[row, 1])))
        return chosen

    def parts(self, tile: Tile) -> list[TilePart]:
        """The meshes of a tile, one per class in it."""
        row = int(np.flatnonzero((self._tiles == tile).all(axis=1))[0])
        faces, corner = self._faces[row], np.array([*tile, 0]) * TILE_M
        parts = []
        for semantic in np.unique(self._city.classes[faces]):
            chosen = self._city.faces[faces[self._city.classes[faces] == semantic]]
            used, renumbered = np.unique(chosen, return_inverse=True)
            vertices = (self._city.vertices[used] - corner).astype(np.float32)
            parts.append(TilePart(int(semantic), vertices, renumbered.reshape(-1, 3).astype(np.uint32)))
        return parts


class CityLayer:
    """Keeps the tiles near the robot in the browser: new ones are sent, those left behind are taken away."""

    def __init__(self, server: viser.ViserServer, root: str, city: CityMap) -> None:
        self._server, self._root, self._tiles = server, root, CityTiles(city)
        self._shown: dict[Tile, list[viser.MeshHandle]] = {}
        self._about: np.ndarray | None = None
        self._visible = True

    def look_from(self, pose: Pose) -> None:
        """Where the robot is that one looks at; nothing is sent until it has gone some way."""
        here = pose.position[:2]
        if self._about is not None and np.linalg.norm(here - self._about) < _MOVED_M:
            return
        self._about = here
        wanted = self._tiles.near(pose.position)
        for tile in self._shown.keys() - set(wanted):
            for handle in self._shown.pop(tile):
                handle.remove()
        for tile in wanted:
            if tile not in self._shown:
                self._shown[tile] = [self._add(tile, part) for part in self._tiles.parts(tile)]

    def _add(self, tile: Tile, part: TilePart) -> viser.MeshHandle:
        info = CLASSES[part.semantic]
        return self._server.scene.add_mesh_simple(
            f"{self._root}/city/{tile[0]}_{tile[1]}/{info.name}",
            part.vertices,
            part.faces,
            color=_dark(info.colour),
            flat_shading=True,
            side="double",
            cast_shadow=False,
            receive_shadow=False,
            position=(tile[0] * TILE_M, tile[1] * TILE_M, 0.0),
            opacity=_SEE_THROUGH.get(part.semantic),
            visible=self._visible,
        )

    def set_visible(self, visible: bool) -> None:
        """Show or hide all of it."""
        self._visible = visible
        for handle in (handle for handles in self._shown.values() for handle in handles):
            handle.visible = visible


def _dark(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Dark and grey, so that voxels of the same class stand out before it."""
    grey = sum(colour) / 3
    red, green, blue = (round(0.9 * (0.6 * grey + 0.4 * channel)) for channel in colour)
    return red, green, blue
