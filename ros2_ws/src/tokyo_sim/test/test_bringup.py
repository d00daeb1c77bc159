"""What a bring-up starts, and which arguments it refuses."""

from __future__ import annotations

from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tokyo_occworld.cli import option_checks, processes
from tokyo_occworld.cli.main import main
from tokyo_sim.bringup import SHIPPED, Arguments, environment, nearest, nodes, world_file


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


def test_one_process_leads_all_robots_and_the_simulator_comes_first():
    assert listed(drones=1, rovers=2) == listed(drones=60, rovers=60) == [("", "simulator"), ("", "mission")]
    assert listed(drones=0, rovers=0) == [("", "simulator")]


def test_recorder_and_inference_start_where_asked_for():
    assert ("", "recorder") in listed(record=True) and ("", "inference") in listed(predict="checkpoint")
    assert {executable for _, executable in listed()} == {"simulator", "mission"}
    assert listed(missions=False) == [("", "simulator")]
    assert ("", "recorder") not in listed(drones=0, rovers=0, record=True)


def test_a_forecast_comes_with_its_markers_and_the_shipped_checkpoint_is_the_node_s_own_default(tmp_path):
    def forecast(**arguments):
        return [s for s in nodes(Arguments(sim="embedded", **arguments)) if s.package == "occworld_infer"]

    inference, overlay = forecast(predict=SHIPPED, colour_by="class")
    assert (inference.executable, overlay.executable) == ("inference", "overlay")
    assert inference.parameters["checkpoint"] == "" and overlay.parameters["colour_by"] == "class"
    assert inference.parameters["robots"] == overlay.parameters["robots"] == ["drone_0", "rover_0"]
    assert forecast(predict=str(tmp_path / "own.pth"))[0].parameters["checkpoint"] == str(tmp_path / "own.pth")
    assert forecast() == forecast(predict=SHIPPED, drones=0, rovers=0) == []


@pytest.mark.parametrize(
    ("line", "predict"),
    [([], ""), (["--predict"], SHIPPED), (["--predict", "a.pth"], "a.pth"), (["--predict", "--view"], SHIPPED)],
)
def test_predict_takes_the_shipped_checkpoint_where_it_names_none(monkeypatch, line, predict):
    started = []
    monkeypatch.setattr(option_checks, "check_up", lambda *_: None)  # there is neither a city nor a checkpoint here
    monkeypatch.setattr(processes, "run_until_stopped", lambda arguments, *_: started.append(arguments) or 0)
    with pytest.raises(SystemExit) as end:
        main(["up", *line])
    assert end.value.code == 0 and started[0].predict == predict


def test_in_gazebo_an_adapter_and_traffic_take_the_simulator_s_place():
    started = listed(sim="gazebo")
    assert ("", "simulator") not in started
    assert started[:2] == [("", "gazebo_adapter"), ("", "gazebo_traffic")]
    assert ("", "gazebo_traffic") not in listed(sim="gazebo", actors=0)
    adapter, traffic = nodes(Arguments(sim="gazebo", actors=7, seed=3, camera_rate=0))[:2]
    assert adapter.parameters["traffic"] is True and adapter.parameters["cameras"] is False
    assert traffic.parameters["actors"] == 7 and traffic.parameters["seed"] == 3
    assert traffic.remappings == {"/city/actors": "/gazebo/actors"}


def test_missions_and_recorder_are_the_same_in_both_simulators():
    embedded, gazebo = (nodes(Arguments(sim=sim, record=True, predict="some.pth")) for sim in ("embedded", "gazebo"))
    assert embedded[1:] == gazebo[2:]


def test_gazebo_keeps_its_own_pace():
    with pytest.raises(ValueError, match="real_time_factor is for the embedded engine"):
        Arguments(sim="gazebo", real_time_factor=0.0)


def test_a_misspelt_name_has_a_nearest_one():
    names = [field.name for field in fields(Arguments)]
    assert nearest("drone", names) == "drones" and nearest("rover_sped", names) == "rover_speed"
    assert nearest("xyzzy", names) == ""


def test_a_folder_that_is_no_city_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no imported city.*tokyo city"):
        world_file(str(tmp_path))


def test_auto_is_gazebo_where_gz_is_on_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Arguments().simulator == "embedded"
    (tmp_path / "gz").write_text("#!/bin/sh\n")
    (tmp_path / "gz").chmod(0o755)
    assert Arguments().simulator == "gazebo"


def test_every_listed_module_exists():
    every = Arguments(sim="embedded", record=True, predict="checkpoint"), Arguments(sim="gazebo")
    for spec in [spec for arguments in every for spec in nodes(arguments) if spec.executable != "gazebo_traffic"]:
        assert find_spec(spec.module) is not None, spec.module


def test_missions_differ_in_seed_and_suit_their_vehicle():
    (all_of_them,) = (s for s in nodes(Arguments(drones=2, rovers=2, sim="embedded")) if s.executable == "mission")
    robots = all_of_them.parameters["robots"]
    assert robots == ["drone_0", "drone_1", "rover_0", "rover_1"]
    seed, vehicle, pattern = (
        [all_of_them.parameters[f"{r}.{k}"] for r in robots] for k in ("seed", "vehicle", "pattern")
    )
    assert len(set(seed)) == 4
    assert vehicle == ["drone", "drone", "rover", "rover"]
    assert pattern == ["survey", "survey", "street", "street"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ["simulator"]),
        ({"camera_rate": 0.0}, []),
        ({"camera_rate": 0.0, "drones": 3, "rovers": 2}, ["simulator"]),
    ],
)
def test_only_who_publishes_images_or_many_sweeps_has_the_larger_shared_memory(
    values: dict[str, Any], expected: list[str]
) -> None:
    specs = nodes(Arguments(sim="embedded", record=True, predict=SHIPPED, view=True, **values))
    assert [spec.name for spec in specs if spec.bulky] == expected
    sizes = [Path(environment(bulky)["FASTDDS_DEFAULT_PROFILES_FILE"]).name for bulky in (True, False)]
    assert sizes == ["fastdds.xml", "fastdds_small.xml"]


def test_what_the_user_has_set_in_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTDDS_DEFAULT_PROFILES_FILE", raising=False)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "8")
    found = processes.node_environment()
    assert found["MALLOC_ARENA_MAX"] == "8" and found["PATH"]
    assert Path(found["FASTDDS_DEFAULT_PROFILES_FILE"]).is_file()
