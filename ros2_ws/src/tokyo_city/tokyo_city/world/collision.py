"""What buildings collide as in the embedded engine: convex pieces, kept as arrays beside the OBJ that Gazebo reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from occ_core.meshes import TriangleMesh
from tokyo_city.world.obj import DECIMALS

_FOLDER = "collision"


def write_pieces(city: Path, model: str, mesh: TriangleMesh) -> None:
    """Keep the connected pieces of a model's collision mesh, to the digits that its OBJ has of them."""
    pieces = [part.vertices for part in mesh.parts()]
    path = _path(city, model)
    path.parent.mkdir(exist_ok=True)
    scale = 10.0**DECIMALS
    vertices = np.rint(np.concatenate(pieces) * scale) / scale
    np.savez(path, vertices=vertices, counts=np.array([len(piece) for piece in pieces]))


def read_pieces(city: Path, model: str) -> list[np.ndarray]:
    """The pieces of a model, corners (k, 3) float64 in map, metres, each. FileNotFoundError with what to run."""
    path = _path(city, model)
    if not path.is_file():
        raise FileNotFoundError(f"no {path.relative_to(city)} in {city}: import the city again with `tokyo city`")
    with np.load(path, allow_pickle=False) as data:
        return np.split(data["vertices"], np.cumsum(data["counts"])[:-1])


def _path(city: Path, model: str) -> Path:
    return Path(city) / _FOLDER / f"{model}.npz"
