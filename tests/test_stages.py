"""What the demo does with stages that fail, drives that are there already, and domains that are taken."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Generator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from isolation import free_domain

from occ_core.frame import Frame, Occupancy, VehicleState
from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose
from occ_core.session import Session, SessionInfo, SessionWriter
from occ_core.session_log import Event, EventKind
from occ_ros.domain import own_domain, used_domains
from tokyo_occworld.demo import drives
from tokyo_occworld.demo.drives import Drive, fault, record_drives
from tokyo_occworld.demo.stages import Stage, StageFailed, Stages

DRIVES = [Drive(1, 100, 1.0), Drive(2, 101, 1.0)]


def test_a_stage_that_fails_is_said_and_run_again_and_others_go_on(tmp_path: Path) -> None:
    ran = []

    def fails() -> None:
        ran.append("a")
        raise StageFailed("no luck")

    stages = Stages(tmp_path)
    assert not stages.run("a", 1, fails)
    assert not stages.run("c", 1, lambda: ran.append("c"), after=["a"])
    assert stages.run("b", 1, lambda: ran.append("b"))
    assert stages.missing == ["a: no luck", "c: it needs what was not made: a"]
    again = Stages(tmp_path)
    assert again.run("a", 1, lambda: ran.append("a"))
    assert again.run("c", 1, lambda: ran.append("c"), after=["a"])
    assert again.run("b", 1, lambda: ran.append("b")) and again.missing == []
    assert ran == ["a", "b", "a", "c"] and [r.reused for r in again.results] == [False, False, True]


def test_stages_that_do_not_need_each_other_get_on_side_by_side_and_one_that_fails_stops_none(tmp_path: Path) -> None:
    steps = []

    def work(name: str, number: int, fails: bool = False) -> Generator[None]:
        for step in range(number):
            steps.append(f"{name}{step}")
            yield
        if fails:
            raise StageFailed("no luck")

    stages = Stages(tmp_path)
    three = [
        Stage("a", 1, lambda: work("a", 3)),
        Stage("b", 1, lambda: work("b", 1, fails=True)),
        Stage("c", 1, lambda: work("c", 1)),
    ]
    assert stages.run_beside(three, 2) == ["a", "c"]
    assert steps == ["a0", "b0", "a1", "a2", "c0"] and stages.missing == ["b: no luck"]
    assert [result.name for result in stages.results] == ["a", "c"]
    assert Stages(tmp_path).run_beside([three[0], three[2]], 2) == ["a", "c"]
    assert len(steps) == 5


def test_an_interrupt_ends_the_work_of_all_stages_that_run(tmp_path: Path) -> None:
    ended = []

    def work(name: str) -> Generator[None]:
        try:
            yield
            if name == "b":
                raise KeyboardInterrupt
            yield
        finally:
            ended.append(name)

    with pytest.raises(KeyboardInterrupt):
        Stages(tmp_path).run_beside([Stage(name, 1, partial(work, name)) for name in "ab"], 2)
    assert sorted(ended) == ["a", "b"]


def test_other_inputs_or_another_stage_before_it_make_a_stage_run_again(tmp_path: Path) -> None:
    def seconds(first: int, second: int) -> list[bool]:
        stages = Stages(tmp_path)
        stages.run("a", first, lambda: None)
        stages.run("b", second, lambda: None, after=["a"])
        return [result.reused for result in stages.results]

    assert seconds(1, 1) == [False, False]
    assert seconds(1, 1) == [True, True]
    assert seconds(1, 2) == [True, False]
    assert seconds(2, 2) == [False, False]


def session(root: Path, name: str, stamps: list[float], *events: Event) -> Session:
    """With nothing in its grids."""
    robot = "_".join(name.split("_")[:2])
    writer = SessionWriter(root / name, SessionInfo(robot, TOKYO_GRID, 0.5, "lidar", "", 0, {}, {}))
    empty = np.zeros(TOKYO_GRID.shape, np.uint8)
    for stamp in stamps:
        state = VehicleState(stamp, Pose.identity(), np.zeros(3), np.zeros(3), Pose.identity())
        grids = Occupancy(empty, empty.astype(bool), empty.astype(np.uint16))
        writer.write(Frame(state, np.zeros((0, 4), np.float32), grids))
    for event in events:
        writer.note(event)
    writer.end(stamps[-1])
    return Session.open(root / name)


@pytest.mark.parametrize(
    ("stamps", "events", "word"),
    [
        ([0.5, 1.0], [], ""),
        ([0.5], [], "1 frames instead of 2"),
        ([0.5, 0.2], [], "clock has jumped"),
        ([3.0, 3.5], [], "clock has jumped"),
        ([0.5, 1.0], [Event(1.0, EventKind.DROPPED, "the disk is too slow")], "too slow"),
    ],
)
def test_a_drive_with_gaps_or_a_clock_that_went_back_is_no_drive(tmp_path, stamps, events, word) -> None:
    found = fault(session(tmp_path, "rover_0_drive_01", stamps, *events), DRIVES[0])
    assert (word in found) if word else found == ""


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Records drives in a step; drive 2 fails at the first attempt."""
    made: list[int] = []

    def record(out: Path, city: Path, drive: Drive, tell) -> Generator[None]:
        made.append(drive.number)
        fails = made == [1, 2]
        yield
        if fails:
            raise StageFailed("the simulator was killed")
        for robot in ("drone_0", "rover_0"):
            session(out / "sessions", drive.session_name(robot), [0.5, 1.0])

    monkeypatch.setattr(drives, "record_drive", record)
    monkeypatch.setattr(drives, "has_roads", lambda city: False)
    return made


def with_city(out: Path) -> Stages:
    stages = Stages(out)
    stages.run("city", 1, lambda: None)
    return stages


def test_finished_drives_are_kept_and_the_others_are_made_by_the_next_run(tmp_path: Path, recorder: list[int]) -> None:
    stages = with_city(tmp_path)
    assert record_drives(tmp_path, tmp_path / "city", DRIVES, stages) == DRIVES[:1]
    assert stages.missing == ["drive 02: the simulator was killed"]
    assert record_drives(tmp_path, tmp_path / "city", DRIVES, with_city(tmp_path)) == DRIVES
    assert record_drives(tmp_path, tmp_path / "city", DRIVES, with_city(tmp_path)) == DRIVES
    assert recorder == [1, 2, 2]


def test_a_drive_whose_sessions_are_gone_is_made_again(tmp_path: Path, recorder: list[int]) -> None:
    for _ in range(2):
        record_drives(tmp_path, tmp_path / "city", DRIVES, with_city(tmp_path))
    for folder in (tmp_path / "sessions").glob("*_drive_01"):
        shutil.rmtree(folder)
    assert record_drives(tmp_path, tmp_path / "city", DRIVES, with_city(tmp_path)) == DRIVES
    assert recorder == [1, 2, 2, 1]


def test_sessions_of_other_drives_are_set_aside_not_deleted(tmp_path: Path, recorder: list[int]) -> None:
    (tmp_path / "sessions").mkdir()
    session(tmp_path / "sessions", "rover_0_20240115_120000", [0.5])
    record_drives(tmp_path, tmp_path / "city", DRIVES[:1], with_city(tmp_path))
    assert sorted(path.name for path in (tmp_path / "sessions").iterdir()) == ["drone_0_drive_01", "rover_0_drive_01"]
    assert len(Session.open(tmp_path / "set_aside/001_rover_0_20240115_120000")) == 1


def test_a_domain_is_free_never_0_and_each_run_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "5")
    with own_domain("auto", ()) as one:
        assert 1 <= one <= 101 and os.environ["ROS_DOMAIN_ID"] == str(one)
        with own_domain("auto", ()) as other:
            assert other != one
    assert os.environ["ROS_DOMAIN_ID"] == "5"


def test_a_domain_with_an_open_port_is_used() -> None:
    domain = free_domain()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 7400 + 250 * domain + 10))
        assert domain in used_domains()


def test_marks_of_stages_are_whole_or_not_there(tmp_path: Path) -> None:
    stages = with_city(tmp_path)
    (tmp_path / "stages/city.json").write_text('{"finger')
    assert stages.up_to_date("city", 1) is None
    stages.run("city", 1, lambda: None)
    assert json.loads((tmp_path / "stages/city.json").read_text())["seconds"] >= 0


_LOSING = """
import os, signal, sys, time
from pathlib import Path
from occ_core.command_line import run_command
from tokyo_occworld.demo.stages import Stages

def make():
    # As a library's callback, or one that takes the interrupt for "not available".
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    except BaseException:
        print("lost", flush=True)

def demo():
    stages = Stages(Path(sys.argv[1]))
    stages.run("first", 1, make)
    print("went on", flush=True)

run_command("demo", demo)
"""


def test_an_interrupt_that_is_lost_within_a_stage_ends_the_demo_after_it_and_the_stage_is_made_again(
    tmp_path: Path,
) -> None:
    done = subprocess.run([sys.executable, "-c", _LOSING, str(tmp_path)], capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stdout, done.stderr) == (130, "== first\nlost\n", "")
    assert Stages(tmp_path).up_to_date("first", 1) is None
