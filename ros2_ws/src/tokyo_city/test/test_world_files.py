"""Mesh files, SDF worlds and the parts of a mesh come back as they were written; imports are whole or not there."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from gml_samples import building
from hypothesis import given, settings
from hypothesis import strategies as st

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.meshes import TriangleMesh
from tokyo_city.plateau.model import ImportProblem
from tokyo_city.world.city import Options, import_city
from tokyo_city.world.collision import read_pieces
from tokyo_city.world.obj import read_obj, write_obj
from tokyo_city.world.sdf import Anchor, WorldModel, read_world, write_world

ANCHOR = Anchor(35.68, 139.76, 3.0, 6677, -6000.0, -35000.0)
coordinate = st.floats(-5000, 5000, allow_nan=False)


@settings(max_examples=30)
@given(st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=3, max_size=30), st.data())
def test_an_obj_comes_back_to_a_tenth_of_a_millimetre(tmp_path_factory, vertices, data):
    index = st.integers(0, len(vertices) - 1)
    faces = data.draw(st.lists(st.tuples(index, index, index), min_size=1, max_size=30))
    mesh = TriangleMesh(np.array(vertices), np.array(faces, dtype=np.int32))
    path = tmp_path_factory.mktemp("obj") / "mesh.obj"
    write_obj(path, mesh)
    again = read_obj(path)
    assert (again.faces == mesh.faces).all()
    assert np.abs(again.vertices - mesh.vertices).max() <= 0.5001e-4


@pytest.mark.parametrize(
    "text",
    ["", "v 0 0 0\n", "v 0 0 0\nf 1 2 3\n", "v 0 0 zero\nf 1 1 1\n", "v 0 0 0\nf 1/1 a/1 1/1\n", "v 0 0\nf 1 1 1\n",
     "v 0 0 0\nf 0 1 1\n"],
)  # fmt: skip
def test_an_obj_that_is_not_ours_is_named(tmp_path, text):
    path = tmp_path / "other.obj"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"other\.obj"):
        read_obj(path)


def test_a_world_comes_back_in_order_with_classes_and_meshes(tmp_path):
    models = [
        WorldModel("tile_building", Semantic.BUILDING, "meshes/a.obj", "meshes/a_collision.obj"),
        WorldModel('od<d> & "name"', Semantic.WATER, "meshes/b.obj", ""),
        WorldModel("地面", Semantic.TERRAIN, "meshes/c.obj", "meshes/c.obj"),
    ]
    write_world(tmp_path / "city.sdf", ANCHOR, models)
    assert read_world(tmp_path / "city.sdf") == models


def test_a_model_of_another_tool_is_named(tmp_path):
    path = tmp_path / "city.sdf"
    path.write_text('<sdf version="1.9"><world name="w"><model name="ball"><link name="l"/></model></world></sdf>')
    with pytest.raises(ValueError, match=r"city\.sdf.*ball"):
        read_world(path)


def test_a_world_that_is_not_xml_is_named(tmp_path):
    path = tmp_path / "city.sdf"
    path.write_text("<sdf><world>")
    with pytest.raises(ValueError, match=r"city\.sdf"):
        read_world(path)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_the_parts_of_a_mesh_are_its_connected_pieces(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 8, rng.integers(1, 6))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    vertices = rng.normal(size=(starts[-1], 3))
    # A fan over each piece's vertices; pieces' faces are shuffled among each other.
    faces = np.array([(s, s + k, s + k + 1) for s, n in zip(starts, sizes, strict=False) for k in range(1, n - 1)])
    mesh = TriangleMesh(vertices, rng.permutation(faces).astype(np.int32))
    parts = mesh.parts()
    assert [len(part.vertices) for part in parts] == sizes.tolist()
    for part, start, size in zip(parts, starts, sizes, strict=False):
        assert (part.vertices == vertices[start : start + size]).all()
    key = lambda triangles: sorted(map(tuple, triangles.reshape(-1, 9)))  # noqa: E731
    assert key(np.concatenate([part.triangles for part in parts])) == key(mesh.triangles)


def test_equal_corners_become_one_vertex_and_flat_faces_go(box):
    triangles = np.concatenate([box((0, 0, 0), (1, 2, 3)), np.ones((1, 3, 3))])
    mesh = TriangleMesh.from_triangles(triangles)
    assert len(mesh.faces) == 12 and len(np.unique(mesh.vertices[mesh.faces].reshape(-1, 3), axis=0)) == 8


def extent(city: CityMap, semantic: Semantic) -> np.ndarray:
    points = city.triangles[city.classes == semantic].reshape(-1, 3)
    return points.max(axis=0) - points.min(axis=0)


def test_an_imported_box_has_its_size_about_the_anchor(citygml, tmp_path):
    path = citygml(building((0, 0, 0), (20, 10, 30)))
    report = import_city(path, tmp_path / "city", Options(workers=1))
    city = CityMap.load(tmp_path / "city")
    assert report.objects == 1 and not report.failed and not report.skipped
    assert extent(city, Semantic.BUILDING) == pytest.approx([20, 10, 30], abs=0.01)
    points = city.triangles[city.classes == Semantic.BUILDING].reshape(-1, 3)
    assert np.abs((points.max(axis=0) + points.min(axis=0))[:2] / 2).max() < 1
    (model,) = (m for m in read_world(tmp_path / "city/city.sdf") if m.semantic is Semantic.BUILDING)
    prisms = read_obj(tmp_path / "city" / model.collision)
    assert len(prisms.parts()) == 2  # one below each triangle of the roof
    assert np.ptp(prisms.vertices, axis=0) == pytest.approx([20, 10, 30.5], abs=0.01)  # walls are buried half a metre
    # The embedded engine's are the same to the last bit.
    pieces = read_pieces(tmp_path / "city", model.name)
    assert [piece.tolist() for piece in pieces] == [part.vertices.tolist() for part in prisms.parts()]
    anchor = json.loads((tmp_path / "city/city.json").read_text())["anchor"]
    assert (anchor["epsg"], anchor["latitude"]) == (6677, pytest.approx(35.684, abs=0.01))


def test_a_city_of_an_earlier_version_without_pieces_is_to_be_imported_again(citygml, tmp_path):
    import_city(citygml(building((0, 0, 0), (20, 10, 30))), tmp_path / "city", Options(workers=1))
    shutil.rmtree(tmp_path / "city/collision")
    (model,) = read_world(tmp_path / "city/city.sdf")[:1]
    with pytest.raises(FileNotFoundError, match="import the city again with `tokyo city`"):
        read_pieces(tmp_path / "city", model.name)


def test_a_bad_file_among_good_ones_is_reported_and_left_out(citygml, tmp_path):
    citygml(building((0, 0, 0), (20, 10, 30)), name="1_bldg_6697.gml")
    citygml(name="2_bldg_6697.gml").write_text("<broken")
    report = import_city(tmp_path / "udx", tmp_path / "city", Options(workers=1))
    assert report.objects == 1 and len(report.failed) == 1 and "2_bldg_6697.gml" in report.failed[0]


def test_an_import_that_fails_leaves_the_city_that_was_there(citygml, tmp_path):
    path = citygml(building((0, 0, 0), (20, 10, 30)))
    import_city(path, tmp_path / "city", Options(workers=1))
    path.write_text("<broken")
    with pytest.raises(ImportProblem):
        import_city(path, tmp_path / "city", Options(workers=1))
    assert len(CityMap.load(tmp_path / "city").faces)
    with pytest.raises(ImportProblem, match="does not exist"):
        import_city(tmp_path / "nowhere", tmp_path / "city")


def test_two_wards_with_a_tile_of_the_same_name_keep_both(citygml, tmp_path):
    for ward, low in (("chiyoda", 0), ("chuo", 100)):
        path = citygml(building((low, 0, 0), (low + 20, 10, 30), ward))
        (tmp_path / "japan" / ward / "bldg").mkdir(parents=True)
        shutil.copy(path, tmp_path / "japan" / ward / "bldg" / path.name)
    import_city(tmp_path / "japan", tmp_path / "city", Options(workers=1))
    models = [m for m in read_world(tmp_path / "city/city.sdf") if m.semantic is Semantic.BUILDING]
    vertices = np.concatenate([read_obj(tmp_path / "city" / m.visual).vertices for m in models])
    assert np.ptp(vertices[:, 0]) == pytest.approx(120, abs=0.1)
