"""Wavefront OBJ with materials: the mesh files that worlds refer to."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from occ_core.meshes import TriangleMesh
from tokyo_city.world.appearance import Appearance, page_path


def write_obj(path: Path, mesh: TriangleMesh, appearance: Appearance | None = None) -> None:
    """Write vertices and faces; z up, metres, as Gazebo reads OBJ.

    With an appearance of the mesh's faces: materials too, in an MTL file beside it, faces of one material together.
    """
    with open(path, "w", encoding="ascii") as file:
        if appearance is not None:
            file.write(f"mtllib {path.with_suffix('.mtl').name}\n")
        file.write(_lines("v %.4f %.4f %.4f\n", mesh.vertices))
        if appearance is None:
            file.write(_lines("f %d %d %d\n", mesh.faces + 1))
            return
        textured = appearance.page >= 0
        file.write(_lines("vt %.6f %.6f\n", appearance.uv[textured].reshape(-1, 2)))
        corner = np.zeros((len(mesh.faces), 3), dtype=np.int64)
        corner[textured] = np.arange(3 * textured.sum()).reshape(-1, 3) + 1
        materials, number = _materials(appearance)
        for index, name in enumerate(materials):
            faces = number == index
            file.write(f"usemtl {name}\n")
            if textured[faces].any():
                pairs = np.stack([mesh.faces[faces] + 1, corner[faces]], axis=2)
                file.write(_lines("f %d/%d %d/%d %d/%d\n", pairs.reshape(-1, 6)))
            else:
                file.write(_lines("f %d %d %d\n", mesh.faces[faces] + 1))
    path.with_suffix(".mtl").write_text("\n".join(materials.values()), encoding="ascii")


def _lines(line: str, rows: np.ndarray) -> str:
    """A line for each row; one formatting for all of them takes a tenth of `numpy.savetxt`'s time."""
    return (line * len(rows)) % tuple(rows.ravel().tolist())


def _materials(appearance: Appearance) -> tuple[dict[str, str], np.ndarray]:
    """Each material's definition by its name, and (f,) the index of each face's: a page, or a colour."""
    red, green, blue = appearance.colour.astype(np.int64).T
    key = np.where(appearance.page >= 0, -1 - appearance.page.astype(np.int64), red << 16 | green << 8 | blue)
    keys, number = np.unique(key, return_inverse=True)
    materials = {}
    for value in keys.tolist():
        if value < 0:
            page = page_path(Path(".."), -1 - value)
            materials[page.stem] = f"newmtl {page.stem}\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nmap_Kd {page.as_posix()}\n"
        else:
            shade = " ".join(f"{(value >> shift & 255) / 255:.4f}" for shift in (16, 8, 0))
            materials[f"c_{value:06x}"] = f"newmtl c_{value:06x}\nKa {shade}\nKd {shade}\nKs 0.05 0.05 0.05\n"
    return materials, number


def read_obj(path: Path) -> TriangleMesh:
    """The vertices and triangles of what `write_obj` wrote. ValueError that names the file."""
    vertices, faces = [], []
    for line in path.read_text(encoding="ascii").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append(rest)
        elif kind == "f":
            faces.append(" ".join(corner.partition("/")[0] for corner in rest.split()) if "/" in rest else rest)
    try:
        mesh = TriangleMesh(
            np.array(" ".join(vertices).split(), dtype=np.float64).reshape(-1, 3),
            np.array(" ".join(faces).split(), dtype=np.int32).reshape(-1, 3) - 1,
        )
    except ValueError as error:
        raise ValueError(f"{path}: not the triangles-only OBJ that `tokyo city` writes: {error}") from error
    if not len(mesh.faces) or mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise ValueError(f"{path}: no faces, or faces of vertices that are not there")
    return mesh
