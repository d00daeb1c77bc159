"""From meshes to sessions without ROS: the script that the user guide names."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import in_process
import numpy as np
import pytest
from paths import ROOT

from occ_core.classes import Semantic
from occ_core.grid import NUSCENES_GRID, TOKYO_GRID
from occ_core.parallel import Backend
from occ_core.session import Session, SessionInfo, find_sessions
from occworld.checkpoint_file import CheckpointError
from occworld.forecaster import Forecaster
from tokyo_occworld.collecting import Collection, _new_session, collect

SCRIPT = str(ROOT / "scripts/plateau_to_occworld.py")


def block(low: np.ndarray, size: tuple[float, float, float], first: int) -> str:
    from occ_core.actors import BOX_FACES

    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * size + low
    lines = [f"v {x:.2f} {y:.2f} {z:.2f}" for x, y, z in corners]
    return "\n".join(lines + [f"f {a + first} {b + first} {c + first}" for a, b, c in BOX_FACES]) + "\n"


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen blocks in the form of the distribution: LOD1, metres of EPSG:6677, by mesh code."""
    folder = tmp_path_factory.mktemp("meshes") / "obj/bldg/lod1"
    folder.mkdir(parents=True)
    middle = np.array([-6100.0, -35200.0, 3.0])
    places = [middle + [40.0 * i, 40.0 * j, 0] for i in range(4) for j in range(4)]
    text = "".join(block(low, (15, 12, 10 + 3 * n), 1 + 8 * n) for n, low in enumerate(places))
    (folder / "53394611_bldg_6677.obj").write_text(text)
    return folder.parents[1]


@pytest.mark.slow
def test_the_guide_s_command_makes_sessions_from_meshes(meshes: Path, tmp_path: Path) -> None:
    output = tmp_path / "tokyo_gazebo"
    wanted = ["--frames", "5", "--sessions", "3"]
    command = [sys.executable, SCRIPT, "--input", str(meshes), "--output", str(output), *wanted]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "_: 5 of 5 frames hold structure" in re.sub(r"/(rover|drone)_0_\d+_\d+", "/_", done.stdout)
    assert done.stdout.endswith("100% of the frames hold structure\n")
    sessions = find_sessions(output)
    assert sorted(session.info.agent for session in sessions) == ["drone_0", "drone_0", "rover_0"]
    for session in sessions:
        assert len(session) == 5
        states = [session.state(number) for number in session.numbers]
        assert np.diff([state.stamp for state in states]) == pytest.approx(0.5)
        assert np.linalg.norm(states[-1].base_link.position - states[0].base_link.position) > 1
        classes = session.classes(session.numbers[-1])
        assert (classes == Semantic.TERRAIN).sum() > 500 and (classes == Semantic.BUILDING).sum() > 20
        assert len(session.points(1)) > 1000
    checked = in_process.tokyo("sessions", "check", output)
    assert checked.returncode == 0 and "did not finish" not in checked.stdout


def test_a_seed_gives_the_same_frames_again(meshes: Path, tmp_path: Path) -> None:
    from tokyo_city.world.city import Options, import_city

    city = import_city(meshes, tmp_path / "city", Options(workers=1)).folder
    for name in ("a", "b"):
        collect(city, tmp_path / name, Collection(sessions=1, frames=2, seed=5))
    ((a,), (b,)) = (find_sessions(tmp_path / name) for name in ("a", "b"))
    assert (a.points(2) == b.points(2)).all() and (a.classes(2) == b.classes(2)).all()


@pytest.mark.parametrize("bad", [["--frames", "0"], ["--input", "/nowhere"], ["--altitude", "x"]])
def test_bad_usage_gets_a_sentence_and_exit_code_2(meshes: Path, tmp_path: Path, bad: list[str]) -> None:
    script = in_process.script(SCRIPT)
    done = in_process.done(script, "--input", meshes, "--output", tmp_path / "out", *bad)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def imported(meshes: Path) -> Path:
    from tokyo_city.world.city import Options, import_city

    return import_city(meshes, meshes.parent / "city", Options(workers=1)).folder


@pytest.mark.parametrize("engine", [Backend.LOCAL, Backend.RAY])
def test_many_processes_record_what_one_does(imported: Path, tmp_path: Path, engine: Backend) -> None:
    if engine is Backend.RAY:
        pytest.importorskip("ray", reason="Ray is not installed here: pip install ray")
    plan = Collection(sessions=4, frames=2, seed=5)
    one, many = collect(imported, tmp_path / "one", plan), collect(imported, tmp_path / "many", plan, engine, 2)
    assert len({session.folder for session in many}) == len(one) == 4
    by_drive = {(s.info.agent, s.info.seed): s for s in find_sessions(tmp_path / "many")}
    for session in find_sessions(tmp_path / "one"):
        other = by_drive[session.info.agent, session.info.seed]
        assert (session.points(2) == other.points(2)).all()
        assert (session.classes(2) == other.classes(2)).all()


def test_faster_and_unsteady_drives_are_other_drives(imported: Path, tmp_path: Path) -> None:
    plans = {"usual": {}, "slow": {"pace": 0.5}, "unsteady": {"unsteady": True}}
    metres = {}
    for name, options in plans.items():
        collect(imported, tmp_path / name, Collection(sessions=2, frames=10, seed=5, **options))
        (rover,) = (s for s in find_sessions(tmp_path / name) if s.info.agent == "rover_0")
        places = np.array([rover.state(n).base_link.position for n in rover.numbers])
        metres[name] = np.linalg.norm(np.diff(places, axis=0), axis=1).sum()
    assert metres["slow"] < 0.7 * metres["usual"] and metres["unsteady"] < 0.95 * metres["usual"]
    with pytest.raises(ValueError, match="pace 0: more than 0"):
        Collection(2, 5, pace=0.0)


def start_session(root: Path, agent: str, seed: int) -> Path:
    return _new_session(root, SessionInfo(agent, TOKYO_GRID, 0.5, "accumulated", "city", seed, {})).folder


def test_sessions_that_processes_start_at_the_same_moment_have_folders_of_their_own(tmp_path: Path) -> None:
    with ProcessPoolExecutor(8) as pool:
        started = [pool.submit(start_session, tmp_path, "rover_0", seed) for seed in range(24)]
        folders = [future.result() for future in started]
    assert len(set(folders)) == 24
    assert [Session.open(folder).info.seed for folder in folders] == list(range(24))


@pytest.mark.parametrize("bad", [["--workers", "0"], ["--engine", "slurm"]])
def test_workers_and_engines_that_can_not_be_are_refused(meshes: Path, tmp_path: Path, bad: list[str]) -> None:
    script = in_process.script(SCRIPT)
    done = in_process.done(script, "--input", meshes, "--output", tmp_path / "out", *bad)
    assert done.returncode == 2 and "Traceback" not in done.stderr


@pytest.mark.slow
def test_other_grids_are_recorded_trained_on_and_forecast(meshes: Path, tmp_path: Path) -> None:
    """The nuScenes grid, with the tools that ship: sessions, a model, a forecast on that grid."""
    output, work = tmp_path / "tokyo_gazebo", tmp_path / "work"
    recording = ["--input", str(meshes), "--output", str(output), "--frames", "10", "--sessions", "4"]
    subprocess.run([sys.executable, SCRIPT, *recording, "--grid", "nuscenes"], check=True, capture_output=True)
    sessions = find_sessions(output)
    assert {session.info.grid for session in sessions} == {NUSCENES_GRID}
    config = tmp_path / "config.py"
    config.write_text(
        "from dataclasses import replace\nfrom pathlib import Path\nfrom occworld.config import read_config\n"
        f"_demo = read_config(Path({str(ROOT / 'learner/config/demo_tokyo.py')!r}))\n"
        "data = replace(_demo.data, point_cloud_range=(-40, -40, -1, 40, 40, 5.4), voxel_size=(0.4, 0.4, 0.4))\n"
        "config = replace(_demo, data=data, training=replace(_demo.training, max_epochs=1))\n"
    )
    train = [sys.executable, str(ROOT / "learner/train.py"), "--config", str(config), "--data-root", str(output)]
    subprocess.run([*train, "--work-dir", str(work), "--max-steps", "2"], check=True, capture_output=True)
    forecaster = Forecaster.load(work / "best.pth")
    (session, *_) = sessions
    numbers = session.numbers[-4:]
    forecast = forecaster([session.classes(n) for n in numbers], [session.state(n) for n in numbers])
    assert len(forecast.classes) == 6 and forecast.classes[0].shape == NUSCENES_GRID.shape
    with pytest.raises(CheckpointError, match="made for another grid"):
        Forecaster.load(work / "best.pth", grid=TOKYO_GRID)
