"""`tokyo sessions`: what its verbs print, write and end with."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from paths import TOKYO
from processes import PATIENCE_S, running
from street import SMALL_GRID, write_session

from tokyo_occworld.cli.main import main


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two drives of a rover and two of a drone."""
    for seed, agent in enumerate(("drone_0", "drone_0", "rover_0", "rover_0")):
        write_session(tmp_path / "data", agent, seed, frames=4, grid=SMALL_GRID)
    return tmp_path / "data"


def run(*arguments: object) -> int:
    """Exit code of `tokyo sessions ...`."""
    with pytest.raises(SystemExit) as ended:
        main(["sessions", *map(str, arguments)])
    return ended.value.code


def test_info_is_what_a_folder_alone_means(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(root) == 0
    without_verb = capsys.readouterr().out
    assert run("info", root) == 0
    assert capsys.readouterr().out == without_verb
    assert without_verb.count("4 frames") == 4 and "4 sessions: 16 frames" in without_verb


def test_a_reader_that_has_seen_enough_is_no_error(root: Path) -> None:
    with running([TOKYO, "sessions", "info", root], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as info:
        info.stdout.close()
        assert "Error" not in info.stderr.read().decode()
        info.wait(PATIENCE_S)
    assert info.returncode == 141


def test_check_ends_with_1_until_damage_is_repaired(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert run("check", root) == 0
    damaged = next(root.glob("rover*")) / "lidar/000002_LIDAR.npy"
    damaged.write_bytes(damaged.read_bytes()[:20])
    assert run("check", root) == 1
    out = capsys.readouterr().out
    assert "usable frames 1, 3-4 (3)" in out and "lidar/000002_LIDAR.npy" in out
    assert run("check", "--repair", root) == 0
    assert (damaged.parents[1] / "quarantine/lidar" / damaged.name).exists()
    assert run("info", root) == 0


def test_view_merge_and_split_write_what_they_say(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run("view", root, "--frames", 1, "--out", tmp_path / "pictures") == 0
    assert len(list((tmp_path / "pictures").glob("*/*.png"))) == 4 and (tmp_path / "pictures/index.html").exists()
    assert run("merge", root, root, "--into", tmp_path / "all") == 0
    assert run("split", tmp_path / "all", "--val", 0.5) == 0
    split = json.loads((tmp_path / "all/split.json").read_text())
    assert len(split["train"]) == len(split["val"]) == 2
    assert "train: 2 sessions, 8 frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("chekc", "ROOT"), ("check", "/nowhere"), ("info", "/nowhere"), ("merge", "ROOT"),
        ("view", "ROOT", "--frames", 0),
        ("split", "ROOT", "--val", 1.5), ("split", "ROOT", "--gap", 100), ("split", "ROOT", "--by", "place"),
        ("split", "ROOT", "--val", "half"),
    ],
)  # fmt: skip
def test_bad_usage_is_one_sentence_and_exit_code_2(root: Path, capsys: pytest.CaptureFixture, arguments: tuple) -> None:
    assert run(*(root if word == "ROOT" else word for word in arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("tokyo") and len(error.strip().splitlines()) == 1
    assert not (root / "split.json").exists()
