"""What is left out because something stands before it can't be seen, and most of what can't be seen is left out."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from occ_core.classes import Semantic
from occ_core.poses import Pose
from tokyo_sim.engine.cameras import clip_matrix
from tokyo_sim.engine.culling import Chunks, boxes
from tokyo_sim.engine.occlusion import Occluders
from tokyo_sim.engine.robot import CameraSpec
from tokyo_sim.engine.winding import one_sided


def camera(position, yaw: float = 0.0, pitch: float = 0.0) -> tuple[CameraSpec, Pose]:
    turn = Pose.from_xyz_rpy(np.zeros(3), [-np.pi / 2, 0, -np.pi / 2])
    spec = CameraSpec("front", "front", Pose.identity(), 320, 180, np.radians(70), 0.1, 1000.0, 10.0)
    return spec, Pose.from_xyz_rpy(np.asarray(position, dtype=float), [0, pitch, yaw]) @ turn


def of(city) -> Occluders:
    return Occluders.of(city, one_sided(city))


def seen(occluders: Occluders, view: tuple[CameraSpec, Pose], low, high) -> np.ndarray:
    """(k,) bool: which boxes a view draws."""
    spec, pose = view
    projection = clip_matrix(spec, pose)
    chunks = Chunks(np.arange(len(low) + 1), boxes(np.asarray(low, float), np.asarray(high, float)), np.inf)
    cover = occluders.cover(projection, pose.position, spec.near)
    drawn = [first for first, _ in chunks.visible(projection, spec.focal, cover)]
    return np.isin(np.arange(len(low)), drawn)


@pytest.mark.parametrize("seed", range(6))
def test_no_point_of_what_is_left_out_can_be_seen(city, box, sheet, seed):
    rng = np.random.default_rng(seed)
    corners = np.column_stack([rng.uniform(-150, 150, (150, 2)), np.zeros(150)])
    houses = np.concatenate([box(low, low + rng.uniform(5, 40, 3)) for low in corners])
    made = city((Semantic.BUILDING, houses), (Semantic.TERRAIN, sheet(-300, 300, -300, 300)))
    occluders = of(made)
    mesh = trimesh.Trimesh(made.vertices, made.faces, process=False)
    low = np.column_stack([rng.uniform(-200, 200, (400, 2)), rng.uniform(0, 20, 400)])
    high = low + rng.uniform(1, 8, (400, 3))
    eye = np.array([*rng.uniform(-150, 150, 2), rng.uniform(1, 40)])
    left_out = 0
    for yaw in np.arange(6) * np.pi / 3:
        spec, pose = view = camera(eye, yaw, rng.uniform(-0.1, 0.4))
        hidden = ~seen(occluders, view, low, high) & seen(nothing(city, sheet), view, low, high)
        left_out += hidden.sum()
        points = (low[hidden, None] + rng.random((hidden.sum(), 60, 3)) * (high - low)[hidden, None]).reshape(-1, 3)
        clip = np.column_stack([points, np.ones(len(points))]) @ clip_matrix(spec, pose).T
        inside = (np.abs(clip[:, :2]) < clip[:, 3:]).all(axis=1) & (clip[:, 3] > spec.near)
        points = points[inside]
        ahead = points - eye
        if len(points):
            hit = mesh.ray.intersects_location(np.tile(eye, (len(points), 1)), ahead, multiple_hits=False)
            nearest = np.full(len(points), np.inf)
            nearest[hit[1]] = np.linalg.norm(hit[0] - eye, axis=1)
            assert (nearest < np.linalg.norm(ahead, axis=1) + 1e-3).all()
    assert left_out > 50


def nothing(city, sheet) -> Occluders:
    return of(city((Semantic.ROAD, sheet(5000, 5001, 5000, 5001))))


def test_a_wall_hides_what_is_behind_it_and_not_what_is_beside_above_or_before_it(city, box):
    occluders = of(city((Semantic.BUILDING, box((20, -10, -20), (25, 10, 10)))))
    low = [(40, -5, 0), (40, 24, 0), (40, -5, 18), (10, -2, 2)]
    drawn = seen(occluders, camera((0, 0, 5)), low, np.array(low) + 4)
    assert drawn.tolist() == [False, True, True, True]


def test_a_wall_that_is_seen_from_its_back_hides_nothing(city, box):
    """From inside a closed building its faces are not drawn."""
    occluders = of(city((Semantic.BUILDING, box((-10, -10, 0), (10, 10, 10)))))
    assert seen(occluders, camera((0, 0, 5)), [(20, -2, 0)], [(24, 2, 4)]).all()


def test_leaves_hide_nothing_as_they_are_not_drawn_from_afar(city, box):
    occluders = of(city((Semantic.VEGETATION, box((20, -10, -1), (25, 10, 20)))))
    assert seen(occluders, camera((0, 0, 5)), [(40, -5, 0)], [(44, -1, 4)]).all()


def test_a_wall_in_two_triangles_hides_as_one_face(city):
    corners = np.array([(20, -30, -20), (20, 30, -20), (20, 30, 30), (20, -30, 30)], dtype=float)
    wall = of(city((Semantic.BUILDING, corners[[[0, 1, 2], [0, 2, 3]]])))
    assert len(wall.corners) == 1
    # Right behind the diagonal.
    assert not seen(wall, camera((0, 0, 5)), [(21, -1, 4)], [(22, 1, 6)]).any()
