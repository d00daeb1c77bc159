"""What Gazebo is told of traffic: models that SDFormat's own parser accepts, and requests as its services want them."""

from __future__ import annotations

import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from occ_core.actors import Actor
from occ_core.classes import Semantic
from occ_core.messages import from_pose
from occ_core.poses import Pose
from tokyo_sim.traffic.actor_types import VEHICLES, WALKER
from tokyo_sim.traffic.gazebo_models import fill_create, fill_pose, model_sdf

BUS = Actor(
    117, Semantic.TRUCK_BUS, Pose.from_xyz_rpy([4, 5, 6], [0, 0, 1]), np.array([9.0, 2.3, 3.1]), np.array([3.0, 0, 0])
)


@pytest.mark.skipif(shutil.which("ign") is None and shutil.which("gz") is None, reason="no SDFormat parser here")
@pytest.mark.parametrize("kind", [*VEHICLES, WALKER], ids=lambda kind: kind.name)
def test_sdformats_parser_accepts_the_model_of_every_kind(tmp_path, kind):
    path = tmp_path / "model.sdf"
    path.write_text(model_sdf(Actor(1, kind.semantic, Pose.identity(), np.array(kind.size), np.zeros(3))))
    parser = "ign" if shutil.which("ign") else "gz"
    checked = subprocess.run([parser, "sdf", "-k", str(path)], capture_output=True, text=True)
    assert checked.returncode == 0 and "Valid" in checked.stdout, checked.stdout + checked.stderr
    assert "Warning" not in checked.stderr


def test_a_model_has_the_actors_size_and_label_and_a_box_inertia():
    model = etree.fromstring(model_sdf(BUS)).find("model")
    assert model.get("name") == "actor_117"
    assert {e.text for e in model.iterfind(".//box/size")} == {"9.000 2.300 3.100"}
    assert model.findtext(".//label") == str(int(Semantic.TRUCK_BUS))
    mass, (ixx, iyy, izz) = (
        float(model.findtext(".//mass")),
        (float(model.findtext(f".//{i}")) for i in ("ixx", "iyy", "izz")),
    )
    assert 1000 < mass < 20000
    assert izz == pytest.approx(mass * (9.0**2 + 2.3**2) / 12, rel=1e-4)
    assert ixx + iyy > izz and ixx + izz > iyy and iyy + izz > ixx, "the triangle inequality of inertias"


def test_requests_name_the_model_and_carry_its_pose():
    create = fill_create(SimpleNamespace(entity_factory=SimpleNamespace()), BUS, "pose")
    assert create.entity_factory.name == "actor_117" and create.entity_factory.pose == "pose"
    assert create.entity_factory.relative_to == "world" and create.entity_factory.sdf == model_sdf(BUS)
    move = fill_pose(SimpleNamespace(entity=SimpleNamespace()), BUS, "pose")
    assert (move.entity.name, move.entity.type, move.pose) == ("actor_117", 2, "pose")


def _message(pose: Pose) -> SimpleNamespace:
    """As a geometry_msgs/Pose has it."""
    w, x, y, z = pose.orientation
    place = SimpleNamespace(**dict(zip("xyz", pose.position, strict=True)))
    return SimpleNamespace(position=place, orientation=SimpleNamespace(w=w, x=x, y=y, z=z))


@given(st.tuples(*[st.floats(-2000, 2000)] * 3), st.floats(-np.pi, np.pi), st.tuples(*[st.floats(0.3, 12)] * 3))
def test_an_actor_is_where_set_pose_puts_it_within_half_a_millimetre(xyz, yaw, size):
    """Every corner of the box that Gazebo has, by the model's own file and the pose that is asked for."""
    actor = Actor(120, Semantic.CAR, Pose.from_xyz_rpy(np.array(xyz), [0, 0, yaw]), np.array(size), np.zeros(3))
    asked = fill_pose(SimpleNamespace(entity=SimpleNamespace()), actor, _message(actor.pose)).pose
    root = etree.fromstring(model_sdf(actor))
    assert not list(root.iter("pose")), "a pose in the model would put the box beside what is asked for"
    boxes = [np.array(element.text.split(), dtype=float) for element in root.iterfind(".//box/size")]
    assert len(boxes) == 2
    for box in boxes:
        there = Actor(120, Semantic.CAR, from_pose(asked), box, np.zeros(3)).corners()
        assert np.linalg.norm(there - actor.corners(), axis=1).max() < 5e-4
