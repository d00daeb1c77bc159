"""Mistakes on the command line: one sentence and exit code 2, before anything is loaded; nothing is lost or made."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from paths import ROOT, TOKYO
from processes import PATIENCE_S

from occ_core.frame import Frame, Occupancy, VehicleState
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occ_core.session import SessionInfo, SessionWriter

PLATEAU_TO_OCCWORLD = (sys.executable, str(ROOT / "scripts/plateau_to_occworld.py"))
LAUNCH = (str(ROOT / "scripts/launch_occworld_simulation.sh"),)
TRAIN, EVAL, EXPORT = ((sys.executable, str(ROOT / f"learner/{name}.py")) for name in ("train", "eval", "export"))
SESSION = "data/rover_0_20240115_120000"
DEMO_CONFIG = str(ROOT / "learner/config/demo_tokyo.py")
# A machine with other work is slow, but it takes no more processor time for that.
PROCESSOR_S = 1.0


MISTAKES = [
    ((TOKYO, "city", "--mesh", "53394611"), "--mesh goes with a path"),
    ((TOKYO, "city", "--bbox", "35,139,36,140"), "--bbox goes with a path"),
    ((TOKYO, "city", "nowhere"), "no file or folder nowhere"),
    ((TOKYO, "city", "--workers", "0"), "--workers 0"),
    ((TOKYO, "city", "--out", "data"), "data is not empty and is not an imported city"),
    ((TOKYO, "city", "--out", "mine"), "mine is not empty and is not an imported city"),
    ((TOKYO, "city", "--out", "mine/thesis.tex"), "thesis.tex"),
    ((TOKYO, "city", "--out", "/proc/foo/city"), "can't write /proc/foo: No such file"),
    ((TOKYO, "up", "--predict", "none.pth"), "no checkpoint none.pth"),
    ((TOKYO, "up", "--predict", "text.pth"), "text.pth: not a whole checkpoint"),
    ((TOKYO, "up", "--predict", "mine"), "mine is a folder"),
    ((TOKYO, "up", "--city", "mine"), "mine is no imported city"),
    ((TOKYO, "up", "--city", "city", "--drones", "0", "--rovers", "0", "--record"), "--record needs a robot"),
    ((TOKYO, "up", "--city", "city", "--drones", "0", "--rovers", "0", "--view"), "--view needs a robot"),
    ((TOKYO, "up", "--city", "city", "--places", "rover_0:1,2"), "--places rover_0:1,2: the yaw is missing"),
    ((TOKYO, "up", "--city", "city", "--places", "rover_0"), "'rover_0' is no place"),
    ((TOKYO, "up", "--city", "city", "--places", "rover_7:1,2,3"), "rover_7, and the robots are"),
    ((TOKYO, "up", "--city", "city", "--bag", "mine"), "mine is there already"),
    ((TOKYO, "up", "--city", "city", "--bag", "/proc/foo/bag"), "can't write /proc/foo/bag"),
    ((TOKYO, "up", "--city", "city", "--record", "--output", "mine"), "mine is not empty and is not a folder of"),
    ((TOKYO, "up", "--city", "city", "--record", "--output", "/proc/foo"), "can't write /proc/foo"),
    ((TOKYO, "up", "--city", "city", "--duration", "-1"), "--duration -1"),
    ((TOKYO, "record", "--bag", "mine"), "mine is there already"),
    ((TOKYO, "record", "--output", "mine"), "mine is not empty and is not a folder of sessions"),
    ((TOKYO, "record", "--city", "mine"), "mine is no imported city"),
    ((TOKYO, "bag2sessions", "nowhere"), "no bag nowhere"),
    ((TOKYO, "bag2sessions", "mine", "--output", "city"), "city is not empty and is not a folder of sessions"),
    ((TOKYO, "bag2sessions", "mine", "--city", "nowhere"), "nowhere is no imported city"),
    ((TOKYO, "view", "nowhere"), "no recording nowhere"),
    ((TOKYO, "view", "data", "--checkpoint", "none.pth"), "no checkpoint none.pth"),
    ((TOKYO, "view", "data", "--screenshot", "mine/thesis.tex"), "thesis.tex is there and is not a PNG"),
    ((TOKYO, "view", "data", "--screenshot", "/proc/foo/a.png"), "can't write /proc/foo"),
    ((TOKYO, "view", "--port", "70000"), "--port 70000"),
    ((TOKYO, "sessions", "view", "data", "--out", "mine"), "mine is not empty and is not a folder of sessions'"),
    ((TOKYO, "sessions", "view", "data", "--out", "/proc/foo"), "can't write /proc/foo"),
    ((TOKYO, "sessions", "merge", "data", "--into", "mine"), "mine is not empty and is not a folder of sessions"),
    ((TOKYO, "sessions", "merge", "data", "--into", "/proc/foo"), "can't write /proc/foo"),
    ((TOKYO, "compare", "nowhere", "--city", "city"), "no session in nowhere"),
    ((TOKYO, "compare", SESSION, "--city", "city", "--out", "mine"), "mine is not empty and is not a comparison"),
    ((TOKYO, "demo", "--out", "mine"), "mine is not empty and is not a demo's folder"),
    ((TOKYO, "demo", "--out", "/proc/foo"), "can't write /proc/foo"),
    ((TOKYO, "demo", "--city-source", "nowhere"), "no file or folder nowhere"),
    ((TOKYO, "download", "models", "--output", "mine"), "mine is not empty and is not a folder of downloads"),
    ((TOKYO, "download", "plateau", "--mesh", "53394611", "--output", "/proc/foo"), "can't write /proc/foo"),
    ((*PLATEAU_TO_OCCWORLD, "--input", "nowhere"), "no file or folder nowhere"),
    ((*PLATEAU_TO_OCCWORLD, "--output", "mine"), "mine is not empty and is not a folder of sessions"),
    ((*PLATEAU_TO_OCCWORLD, "--input", "mine", "--city", "data"), "data is not empty and is not an imported city"),
    ((*PLATEAU_TO_OCCWORLD, "--sessions", "0"), "at least one session"),
    ((*TRAIN, "--config", "none.py", "--work-dir", "w"), "no config file none.py"),
    ((*TRAIN, "--config", DEMO_CONFIG, "--work-dir", "w", "--data-root", "none"), "no folder of sessions none"),
    ((*TRAIN, "--config", DEMO_CONFIG, "--work-dir", "mine"), "mine is not empty and is not a training's work"),
    ((*TRAIN, "--config", DEMO_CONFIG, "--work-dir", "/proc/foo"), "can't write /proc/foo"),
    ((*TRAIN, "--config", DEMO_CONFIG, "--work-dir", "w", "--resume-from", "none.pth"), "no checkpoint none.pth"),
    ((*TRAIN, "--config", DEMO_CONFIG, "--work-dir", "w", "--resume"), "nothing to resume in w"),
    ((*TRAIN, "--config", DEMO_CONFIG, "--work-dir", "w", "--max-minutes", "0"), "--max-minutes 0"),
    ((*TRAIN, "--config", DEMO_CONFIG, "--work-dir", "w", "--bag", "nowhere"), "no bag nowhere"),
    ((*EVAL, "--checkpoint", "none.pth", "--data-root", "data", "--out", "o"), "no checkpoint none.pth"),
    ((*EVAL, "--checkpoint", "text.pth", "--data-root", "data", "--out", "o"), "text.pth: not a whole checkpoint"),
    ((*EXPORT, "--checkpoint", "none.pth", "--data-root", "data", "--out", "o", "--command", "c"), "no checkpoint"),
]  # fmt: skip


def somebody_s(folder: Path) -> Path:
    """What somebody has: a city's folder, sessions, a text, a checkpoint that is none."""
    (folder / "city").mkdir()
    for name in ("city.sdf", "city.json"):
        (folder / "city" / name).touch()
    grid = VoxelGrid((-4, -4, -2), (4, 4, 5.5), (0.4, 0.4, 1.25))
    writer = SessionWriter(folder / "data/rover_0_20240115_120000", SessionInfo("rover_0", grid, 0.5, "lidar"))
    state = VehicleState(0.0, Pose.identity(), *[[0.0] * 3] * 2, Pose.identity())
    empty = np.zeros(grid.shape, np.uint8)
    writer.write(Frame(state, np.zeros((1, 4), np.float32), Occupancy(empty, empty > 0, empty.astype(np.uint16))))
    (folder / "mine").mkdir()
    (folder / "mine/thesis.tex").write_text("mine")
    (folder / "text.pth").write_text("weights")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return somebody_s(tmp_path)


def everything(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() if p.is_file() else b"" for p in sorted(root.rglob("*"))}


def run(command: tuple[str, ...], cwd: Path) -> tuple[int, str, float]:
    """Exit code, standard error, and seconds of processor time."""
    environment = {**os.environ, "PATH": f"{Path(TOKYO).parent}:{os.environ['PATH']}"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.returncode, done.stderr, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def name_of(value: object) -> str:
    return " ".join(Path(part).name for part in value) if isinstance(value, tuple) else ""


@dataclass(frozen=True)
class Made:
    """A mistake that was made. seconds: of processor time. slow: modules that it loaded. changed: any of the files?"""

    code: int
    said: str
    seconds: float
    slow: list[str]
    changed: bool


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Made]:
    """All mistakes, each in a folder of its own, one after the other in one new process."""
    places = [somebody_s(tmp_path_factory.mktemp("somebody")) for _ in MISTAKES]
    before = [everything(place) for place in places]
    asked = [(str(place), command) for place, (command, _) in zip(places, MISTAKES, strict=True)]
    child = [sys.executable, str(Path(__file__).with_name("mistakes.py"))]
    ended = subprocess.run(child, input=json.dumps(asked), capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode == 0, ended.stderr
    answers = json.loads(ended.stdout)
    after = [everything(place) for place in places]
    return {
        command: Made(**answer, changed=before[number] != after[number])
        for number, ((command, _), answer) in enumerate(zip(MISTAKES, answers, strict=True))
    }


@pytest.mark.parametrize(("command", "words"), MISTAKES, ids=name_of)
def test_a_mistake_is_a_sentence_in_no_time(made: dict, command: tuple[str, ...], words: str) -> None:
    answer: Made = made[command]
    assert answer.code == 2 and words in answer.said and len(answer.said.strip().splitlines()) == 1, answer
    assert not answer.changed
    assert answer.slow == [] and answer.seconds < PROCESSOR_S


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((*LAUNCH, "--drones", "x"), "invalid int value: 'x'"),
        ((*LAUNCH, "--predict", "none.pth"), "no checkpoint none.pth"),
        ((TOKYO, "city", "--out", "mine"), "mine is not empty and is not an imported city"),
    ],
    ids=name_of,
)
def test_a_mistake_is_found_by_a_process_of_its_own_too(folder: Path, command: tuple[str, ...], words: str) -> None:
    before = everything(folder)
    code, said, seconds = run(command, folder)
    assert code == 2 and words in said and len(said.strip().splitlines()) == 1, said
    assert everything(folder) == before
    assert seconds < PROCESSOR_S


def test_a_port_that_somebody_has_is_named(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for command in ((TOKYO, "up", "--city", "city", "--view", "--port", port), (TOKYO, "view", "--port", port)):
            code, said, seconds = run(command, folder)
            assert code == 2 and f"--port {port} can't be had (Address already in use)" in said
            assert seconds < PROCESSOR_S


def test_eval_and_export_write_into_their_own_folders_only(folder: Path) -> None:
    (folder / "zip.pth").write_bytes(b"PK\x03\x04")
    options = ("--checkpoint", "zip.pth", "--data-root", "data", "--out", "mine")
    for command in ((*EVAL, *options), (*EXPORT, *options, "--command", "c")):
        code, said, seconds = run(command, folder)
        assert code == 2 and "mine is not empty and is not" in said and seconds < PROCESSOR_S


def test_tokyo_alone_prints_its_help_and_a_version_is_a_version(tmp_path: Path) -> None:
    alone = subprocess.run([TOKYO], capture_output=True, text=True)
    assert alone.returncode == 0 and "import PLATEAU tiles" in alone.stdout and not alone.stderr
    version = subprocess.run([TOKYO, "--version"], capture_output=True, text=True)
    assert version.returncode == 0 and version.stdout.split()[0] == "tokyo" and version.stdout.split()[1][0].isdigit()


@pytest.mark.parametrize(
    "command",
    [
        (TOKYO,), (TOKYO, "up", "--help"), (TOKYO, "sessions", "info", "data"), (*TRAIN, "--help"),
        (*PLATEAU_TO_OCCWORLD, "--help"),
    ],
    ids=str,
)  # fmt: skip
def test_a_pipe_that_is_closed_is_no_traceback(folder: Path, command: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, cwd=folder, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert not any(sign in done.stderr for sign in ("Traceback", "Error", "Exception", "Broken pipe")), done.stderr
    # argparse itself overlooks that its help could not be printed, where output is not buffered.
    assert done.returncode in ((0, 141) if "data" not in command else (141,))
