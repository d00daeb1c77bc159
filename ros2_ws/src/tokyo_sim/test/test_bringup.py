"""What a bring-up starts, and which arguments it refuses."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tokyo_sim.bringup import Arguments, nodes


@pytest.mark.parametrize(
    "wrong", [{"sim": "ignition"}, {"drone_pattern": "zigzag"}, {"occupancy": "dense"}, {"device": "tpu"}]
)
def test_a_word_that_is_no_choice_is_refused_and_the_choices_are_told(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=rf"{name} is '{value}', one of .*,"):
        Arguments(**wrong)


@pytest.mark.parametrize("name", ["drones", "rovers"])
def test_negative_numbers_are_refused(name):
    with pytest.raises(ValueError, match=name):
        Arguments(**{name: -1})


def listed(**arguments) -> list[tuple[str, str]]:
    return [(spec.namespace, spec.executable) for spec in nodes(Arguments(**{"sim": "embedded", **arguments}))]


def test_each_robot_has_a_mission_and_the_simulator_comes_first():
    assert listed(drones=1, rovers=2) == [
        ("", "simulator"), ("drone_0", "mission"), ("rover_0", "mission"), ("rover_1", "mission"),
    ]  # fmt: skip


def test_recorder_and_inference_start_where_asked_for():
    assert ("", "recorder") in listed(record=True) and ("", "inference") in listed(predict="checkpoint")
    assert {executable for _, executable in listed()} == {"simulator", "mission"}
    assert listed(missions=False) == [("", "simulator")]
    assert ("", "recorder") not in listed(drones=0, rovers=0, record=True)


def test_gazebo_takes_the_simulator_s_place():
    assert ("", "simulator") not in listed(sim="gazebo")


def test_auto_is_gazebo_where_gz_is_on_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Arguments().simulator == "embedded"
    (tmp_path / "gz").write_text("#!/bin/sh\n")
    (tmp_path / "gz").chmod(0o755)
    assert Arguments().simulator == "gazebo"


def test_every_listed_module_exists():
    for spec in nodes(Arguments(sim="embedded", record=True, predict="checkpoint")):
        assert find_spec(spec.module) is not None, spec.module


def test_missions_differ_in_seed_and_suit_their_vehicle():
    missions = [s.parameters for s in nodes(Arguments(drones=2, rovers=2, sim="embedded")) if s.executable == "mission"]
    assert len({m["seed"] for m in missions}) == 4
    assert [m["vehicle"] for m in missions] == ["drone", "drone", "rover", "rover"]
    assert all(m["pattern"] == "street" for m in missions if m["vehicle"] == "rover")
