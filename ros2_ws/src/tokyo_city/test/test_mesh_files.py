"""Every OBJ that is written has what Gazebo takes on trust: normals, texture coordinates, materials, plain names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from gml_samples import building
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from small_cities import box_triangles

from occ_core.meshes import TriangleMesh, equal_rows
from tokyo_city.sample_city import write_sample_city
from tokyo_city.world import plain_name
from tokyo_city.world.appearance import Appearance
from tokyo_city.world.city import Options, import_city
from tokyo_city.world.obj import has_normals, lines, read_obj, write_obj


class MeshFile:
    """An OBJ as a strict reader takes it. faces: (f, 3, 3) numbers from 0 of vertex, texture coordinate and normal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        rows: dict[str, list[list[str]]] = {"v": [], "vn": [], "vt": [], "f": [], "mtllib": [], "usemtl": []}
        for line in path.read_text(encoding="ascii").splitlines():
            kind, *rest = line.split()
            rows[kind].append(rest)
        self.vertices, self.normals, self.coordinates = (
            np.array(rows[kind], dtype=float).reshape(-1, width) for kind, width in (("v", 3), ("vn", 3), ("vt", 2))
        )
        corners = [[corner.split("/") for corner in face] for face in rows["f"]]
        self.faces = np.array([[[int(n or 0) - 1 for n in corner] for corner in face] for face in corners])
        self.libraries, self.used = rows["mtllib"], {name for (name,) in rows["usemtl"]}

    def check(self) -> None:
        """All that the loader does not look at. Normals point to where faces are seen counter-clockwise."""
        assert len(self.faces) and self.faces.shape[1:] == (3, 3), self.path
        vertex, coordinate, normal = np.moveaxis(self.faces, 2, 0)
        assert 0 <= vertex.min() and vertex.max() < len(self.vertices), self.path
        assert 0 <= normal.min() and normal.max() < len(self.normals), self.path
        if len(self.coordinates):
            assert 0 <= coordinate.min() and coordinate.max() < len(self.coordinates), self.path
        else:
            assert (coordinate == -1).all(), self.path
        assert np.linalg.norm(self.normals, axis=1) == pytest.approx(1, abs=2e-4)
        a, b, c = np.moveaxis(self.vertices[vertex], 1, 0)
        across = np.cross(b - a, c - a)
        wide = np.linalg.norm(across, axis=1) > 1e-6
        facing = np.einsum("fi,fi->f", across[wide], self.normals[normal[wide, 0]])
        assert (facing > 0.999 * np.linalg.norm(across[wide], axis=1)).all(), self.path
        self.check_materials()

    def check_materials(self) -> None:
        """The library is one file beside it; it has every material that is used, and every texture is there."""
        assert len(self.libraries) <= 1
        defined: set[str] = set()
        for names in self.libraries:
            (name,) = names
            for line in (self.path.parent / name).read_text(encoding="ascii").splitlines():
                kind, *rest = line.split() or [""]
                if kind == "newmtl":
                    defined.add(*rest)
                if kind == "map_Kd":
                    assert (self.path.parent / rest[0]).is_file(), line
        assert self.used <= defined, self.path


def check_city(city: Path) -> list[MeshFile]:
    files = [MeshFile(path) for path in sorted((city / "meshes").glob("*.obj"))]
    for file in files:
        file.check()
        assert has_normals(file.path)
        # Another library's reader agrees: nothing lost, a normal for each vertex.
        mesh = trimesh.load(file.path, force="mesh", process=False)
        assert len(mesh.faces) == len(file.faces) and mesh.vertex_normals.shape == mesh.vertices.shape
    uris = {uri.text for uri in etree.parse(str(city / "city.sdf")).iterfind(".//mesh/uri")}
    assert uris == {f"meshes/{file.path.name}" for file in files}
    return files


@pytest.mark.slow
def test_every_mesh_of_the_sample_city(tmp_path):
    udx = write_sample_city(tmp_path / "citygml", seed=3, size_m=320.0)
    import_city(udx, tmp_path / "city", Options(workers=1))
    files = check_city(tmp_path / "city")
    assert any(file.path.stem.endswith("_collision") for file in files)


@pytest.mark.parametrize("tile", ["sapporo", "haneda"])
def test_every_mesh_of_a_real_tile(plateau_data, tmp_path, tile):
    import_city(plateau_data / tile, tmp_path / "city", Options(workers=1))
    textured = [file for file in check_city(tmp_path / "city") if len(file.coordinates)]
    assert bool(textured) == (tile == "haneda")


@pytest.mark.parametrize("buildings_as_prisms", [True, False])
@pytest.mark.parametrize("name", ["53394611_bldg_op (1).gml", "53394611_bldg_千代田.gml", "53394611_bldg_a\tb%20c.gml"])
def test_names_of_source_files_become_names_that_obj_can_say(citygml, tmp_path, name, buildings_as_prisms):
    citygml(building((0, 0, 0), (20, 10, 30)), name=name)
    import_city(tmp_path / "udx", tmp_path / "city", Options(workers=1, prisms=buildings_as_prisms))
    for file in check_city(tmp_path / "city"):
        assert file.path.name == plain_name(file.path.name)


def test_names_that_become_the_same_are_told_apart(citygml, tmp_path):
    for low, name in ((0, "53394611_bldg_a b.gml"), (100, "53394611_bldg_a_b.gml"), (200, "53394611_bldg_a_b_2.gml")):
        citygml(building((low, 0, 0), (low + 20, 10, 30)), name=name)
    report = import_city(tmp_path / "udx", tmp_path / "city", Options(workers=1))
    assert report.objects == 3
    walls = [file for file in check_city(tmp_path / "city") if file.path.stem.endswith("_building")]
    assert sum(np.ptp(file.vertices[:, 0]) for file in walls) == pytest.approx(60, abs=0.1)


def test_a_name_with_white_space_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"two words\.obj"):
        write_obj(tmp_path / "two words.obj", TriangleMesh.from_triangles(box_triangles((0, 0, 0), (1, 1, 1))))


def test_faces_without_a_texture_have_coordinates_where_others_have_one(tmp_path):
    mesh = TriangleMesh.from_triangles(box_triangles((0, 0, 0), (1, 1, 1)))
    page = np.where(np.arange(12) % 3 == 0, 0, -1).astype(np.int16)
    uv = np.random.default_rng(1).random((12, 3, 2)).astype(np.float32)
    (tmp_path / "meshes").mkdir()
    (tmp_path / "textures").mkdir()
    (tmp_path / "textures/page_000.jpg").touch()
    path = tmp_path / "meshes/box.obj"
    write_obj(path, mesh, Appearance(np.full((12, 3), 200, np.uint8), uv, page))
    file = MeshFile(path)
    file.check()
    assert len(file.coordinates) == 3 * 4 + 1
    again = read_obj(path)
    order = np.argsort(page >= 0, kind="stable")  # plain colours and pages are each together, whichever comes first
    assert sorted(map(tuple, again.faces)) == sorted(map(tuple, mesh.faces[order]))
    by_face = {tuple(face[:, 0]): file.coordinates[face[:, 1]] for face in file.faces}
    for face, coordinates, number in zip(mesh.faces, uv, page, strict=True):
        assert by_face[tuple(face)] == pytest.approx(coordinates if number >= 0 else np.zeros((3, 2)), abs=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_normals_of_any_mesh_are_those_of_its_faces(tmp_path_factory, seed, flat):
    rng = np.random.default_rng(seed)
    vertices = rng.normal(size=(12, 3)) * (10, 10, 0 if flat else 10)
    faces = rng.permuted(np.tile(np.arange(12), (8, 1)), axis=1)[:, :3].astype(np.int32)
    faces[0] = faces[0, 0]  # no area: it has a normal all the same
    path = tmp_path_factory.mktemp("obj") / "mesh.obj"
    write_obj(path, TriangleMesh(vertices, faces))
    MeshFile(path).check()


@pytest.mark.parametrize("line", ["f 1 2 3", "f 1/1 2/2 3/3"])
def test_a_mesh_without_normals_is_seen(tmp_path, line):
    path = tmp_path / "old.obj"
    path.write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\n{line}\n")
    assert not has_normals(path)


@pytest.mark.parametrize("line", ["v %.4f %.4f %.4f\n", "f %d//%d %d//%d %d//%d\n", "vt %.6f %.6f\n"])
def test_lines_are_what_python_makes_of_their_numbers(line):
    columns = line.count("%")
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.uniform(-(10.0**power), 10.0**power, (50, columns)) for power in range(-5, 7)])
    rows = np.round(rows, 4) + 0.0 if "f" in line[2:] else rng.integers(0, 10**7, (200, columns))
    assert lines(line, rows) == "".join(line % tuple(row) for row in rows.tolist())
    assert lines(line, rows[:0]) == ""


@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 1000, 10**7, 2**40]))
@settings(max_examples=40, deadline=None)
def test_equal_rows_are_found_as_numpy_finds_them(seed, span):
    rng = np.random.default_rng(seed)
    rows = rng.integers(-span, span, (30, 3))[rng.integers(0, 30, int(rng.integers(0, 80)))]
    _, first, kind = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    found = equal_rows(rows)
    assert (found[0] == first).all() and (found[1] == kind.reshape(-1)).all()
    assert (equal_rows(rows.astype(float))[1] == kind.reshape(-1)).all()
