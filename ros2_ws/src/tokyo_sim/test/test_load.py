"""How many robots a machine carries, and what is said to who wants more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tokyo_occworld.cli.main import main
from tokyo_sim.bringup import Arguments
from tokyo_sim.load import RIGS, Machine, capacity, cost, refuse_too_many, suited

BARE = Arguments(sim="embedded", camera_rate=0.0)
LAPTOP = Machine(cores=8, memory=12_000)


def test_more_cores_and_more_memory_carry_more_and_cameras_recording_and_forecast_cost() -> None:
    bare = capacity(BARE, LAPTOP)
    assert capacity(BARE, replace(LAPTOP, cores=2)) < bare
    assert capacity(BARE, replace(LAPTOP, memory=700)) < bare
    assert capacity(BARE, replace(LAPTOP, memory=100)) == 0
    costly = (
        replace(BARE, camera_rate=10.0), replace(BARE, camera_rate=5.0), replace(BARE, record=True),
        replace(BARE, predict="shipped"),
    )  # fmt: skip
    assert all(capacity(args, LAPTOP) < bare for args in costly)
    assert capacity(costly[0], LAPTOP) < capacity(costly[1], LAPTOP)


def test_what_a_machine_carries_costs_what_it_has_and_one_robot_more_costs_more() -> None:
    most = capacity(BARE, LAPTOP)
    carried, more = (cost(replace(BARE, drones=0, rovers=number)) for number in (most, most + 1))
    assert carried.cores <= 80 and carried.memory <= 12_000
    assert more.cores > 80 or more.memory > 12_000


def test_too_many_are_refused_with_what_can_be_done_and_force_goes_on() -> None:
    args = replace(BARE, rovers=90, drones=90, camera_rate=10.0)
    with pytest.raises(ValueError, match=r"180 robots .* with 8 cores and 12.0 GB free .* carries \d+: .*--force"):
        refuse_too_many(args, LAPTOP)
    refuse_too_many(replace(args, force=True), LAPTOP)
    refuse_too_many(Arguments(sim="embedded"), Machine(cores=1, memory=2_000))  # the default is never refused
    with pytest.raises(ValueError, match="400 rovers: at most 100"):
        refuse_too_many(replace(args, rovers=400, force=True), LAPTOP)


def test_this_machine_is_read() -> None:
    this = Machine.this()
    assert this.cores >= 1 and this.memory > 100


def test_tokyo_up_refuses_before_anything_starts(monkeypatch, capsys, tmp_path) -> None:
    from tokyo_occworld.cli import processes

    monkeypatch.setattr(processes, "world_file", lambda city: tmp_path)
    monkeypatch.setattr(processes, "NodeProcesses", None)  # nothing could be started
    with pytest.raises(SystemExit) as end:
        main(["up", "--rovers", "400", "--sim", "embedded"])
    assert end.value.code == 2 and "400 rovers" in capsys.readouterr().err


def test_images_are_what_the_free_cores_carry_unless_somebody_says_otherwise() -> None:
    args = Arguments(sim="embedded")
    rigs = [suited(args, cores) for cores in (40.0, 8.0, 2.0, 0.5)]
    sizes = [(rig.image_width, rig.image_height, rig.camera_rate) for rig in rigs]
    assert sizes[0] == RIGS[0] and sizes[-1] == RIGS[-1] and sizes == sorted(sizes, reverse=True)
    assert all(cost(rig).cores <= cores / 2 for rig, cores in zip(rigs[:3], (40.0, 8.0, 2.0), strict=True))
    assert all(rate % 2 == 0 for _, _, rate in RIGS), "a frame each half second has an image of its time"
    for left in (
        replace(args, lockstep=True), replace(args, camera_rate=5.0), replace(args, image_width=320),
        replace(args, sim="gazebo"), replace(args, drones=0, rovers=0),
    ):  # fmt: skip
        assert suited(left, 0.5) == left
