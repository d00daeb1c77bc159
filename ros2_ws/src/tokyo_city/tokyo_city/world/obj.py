"""Wavefront OBJ with materials: the mesh files that worlds refer to.

What a mesh must have for Gazebo, whose loader takes all of it on trust (OBJLoader.cc of gz-common 5 to 7):

- a normal for each corner of each face: without, gz-physics leaves collision meshes out, and walls are too dark;
- texture coordinates for each corner, or for none: for a corner without, it reads memory that is not the mesh's;
- names without white space, which `mtllib` would take for several files;
- in the MTL file beside it, every material that its faces use, and every texture of those on disk.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import numpy as np

from occ_core.loops import compiled
from occ_core.meshes import TriangleMesh
from tokyo_city.world import plain_name
from tokyo_city.world.appearance import Appearance, page_path

DECIMALS = 4
"""Of metres, in a file."""
_UNIT = 10_000  # parts of a normal's length, in a file


def write_obj(path: Path, mesh: TriangleMesh, appearance: Appearance | None = None) -> None:
    """Write vertices, normals and faces; z up, metres, as Gazebo reads OBJ. ValueError for a name with white space.

    With an appearance of the mesh's faces: materials too, in an MTL file beside it, faces of one material together.
    """
    if path.name != plain_name(path.name):
        raise ValueError(f"{path}: readers of OBJ want names of ASCII letters, digits, '.', '_' and '-'")
    normals, facing = _normals(mesh)
    columns = [mesh.faces + 1, np.repeat(facing[:, None] + 1, 3, axis=1)]
    with open(path, "w", encoding="ascii") as file:
        if appearance is not None:
            file.write(f"mtllib {path.with_suffix('.mtl').name}\n")
        file.write(lines("v" + 3 * f" %.{DECIMALS}f" + "\n", mesh.vertices))
        file.write(lines("vn %.4f %.4f %.4f\n", normals))
        if appearance is None:
            file.write(lines("f %d//%d %d//%d %d//%d\n", np.stack(columns, axis=2).reshape(-1, 6)))
            return
        textured = appearance.page >= 0
        corner = "%d//%d"
        if textured.any():
            file.write(lines("vt %.6f %.6f\n", appearance.uv[textured].reshape(-1, 2)))
            file.write("vt 0 0\n")  # of all faces without a texture
            coordinates = np.full((len(mesh.faces), 3), 3 * textured.sum() + 1)
            coordinates[textured] = np.arange(3 * textured.sum()).reshape(-1, 3) + 1
            columns.insert(1, coordinates)
            corner = "%d/%d/%d"
        materials, number = _materials(appearance)
        corners = np.stack(columns, axis=2).reshape(len(mesh.faces), -1)
        for index, name in enumerate(materials):
            file.write(f"usemtl {name}\n")
            file.write(lines(f"f {corner} {corner} {corner}\n", corners[number == index]))
    path.with_suffix(".mtl").write_text("\n".join(materials.values()), encoding="ascii")


def has_normals(path: Path) -> bool:
    """Does an OBJ name a normal for the first of its faces? Files of earlier versions do not."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        start = text.find(b"\nf ") + 1
        return text[start : start + 200].partition(b"\n")[0].count(b"/") == 6


def _normals(mesh: TriangleMesh) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) distinct unit normals, and (f,) the index of each face's; up for a face without an area."""
    a, b, c = np.moveaxis(np.round(mesh.vertices, 4)[mesh.faces], 1, 0)  # of the faces as they are written
    across = np.cross(b - a, c - a)
    length = np.linalg.norm(across, axis=1, keepdims=True)
    unit = np.divide(across, length, out=np.tile([0.0, 0.0, 1.0], (len(across), 1)), where=length > 1e-9)
    x, y, z = (np.round(unit * 1e4).astype(np.int64) + _UNIT).T
    distinct, facing = np.unique((x << 32) + (y << 16) + z, return_inverse=True)
    parts = np.column_stack([distinct >> 32, distinct >> 16 & 0xFFFF, distinct & 0xFFFF]) - _UNIT
    return parts / 1e4, facing.ravel()


def lines(line: str, rows: np.ndarray) -> str:
    """A line for each row (n, k). line: text around k numbers `%d`, or k numbers of equal decimals, `%.4f` or such."""
    around = re.split(r"%(?:d|\.\d+f)", line)
    found = re.search(r"%\.(\d+)f", line)
    decimals = int(found[1]) if found else 0
    whole = np.rint(np.asarray(rows) * 10.0**decimals) if decimals else np.asarray(rows)
    starts = np.cumsum([0, *map(len, around)])
    text = np.frombuffer("".join(around).encode("ascii"), dtype=np.uint8)
    return _digits(np.ascontiguousarray(whole, dtype=np.int64), decimals, text, starts).tobytes().decode("ascii")


@compiled
def _digits(rows, decimals, around, starts):
    """ASCII of rows (n, k) int64, each number without so many of its last digits, which are its decimals.

    around: ASCII of what stands before, between and after the numbers of a row, the n-th from starts[n] on.
    """
    count, columns = rows.shape
    longest = 0
    for n in range(count):
        for k in range(columns):
            longest = max(longest, abs(rows[n, k]))
    room = 3 + decimals
    while longest >= 10:
        longest //= 10
        room += 1
    out = np.empty(count * (len(around) + columns * room), dtype=np.uint8)
    at = 0
    for n in range(count):
        for k in range(columns + 1):
            for c in range(starts[k], starts[k + 1]):
                out[at] = around[c]
                at += 1
            if k == columns:
                break
            value = rows[n, k]
            if value < 0:
                out[at] = 45  # -
                at += 1
                value = -value
            digits, rest = 1 + decimals, value
            limit = 10 ** (decimals + 1)
            while rest >= limit:
                rest //= 10
                digits += 1
            end = at + digits + (decimals > 0)
            place = end - 1
            for d in range(digits):
                if decimals and d == decimals:
                    out[place] = 46  # .
                    place -= 1
                out[place] = 48 + value % 10
                value //= 10
                place -= 1
            at = end
    return out[:at]


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
            faces.append(rest)
    try:
        mesh = TriangleMesh(
            np.array(" ".join(vertices).split(), dtype=np.float64).reshape(-1, 3),
            np.array(re.sub(r"/\S*", "", " ".join(faces)).split(), dtype=np.int32).reshape(-1, 3) - 1,
        )
    except ValueError as error:
        raise ValueError(f"{path}: not the triangles-only OBJ that `tokyo city` writes: {error}") from error
    if not len(mesh.faces) or mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise ValueError(f"{path}: no faces, or faces of vertices that are not there")
    return mesh
