"""Windows, packing, split and config."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from street import SMALL_GRID, write_session

from occ_core.session import Session, SessionError, find_sessions
from occ_core.split_file import SessionSplit, write_split
from occworld.config import Config, ConfigError, read_config
from occworld.dataset import DatasetConfig, GazeboOccWorldDataset
from occworld.packed import PACK_FOLDER, open_packed
from occworld.split import split_sessions

CONFIGS = Path(__file__).parents[1] / "config"


def test_packed_frames_equal_the_recorded_ones(drives: Path) -> None:
    session = find_sessions(drives)[0]
    packed = open_packed(session)
    for i, number in enumerate(session.numbers):
        occupancy = session.occupancy(number)
        assert np.array_equal(packed.frame(i).dense(SMALL_GRID.shape), occupancy.classes)
        assert np.array_equal(
            np.unpackbits(packed.observed[i], count=SMALL_GRID.size).astype(bool), occupancy.observed.ravel()
        )
        assert np.array_equal(packed.pose_13d[i], session.state(number).pose_13d)


def test_a_changed_session_is_packed_again(tmp_path: Path) -> None:
    folder = write_session(tmp_path, "rover_0", 1, frames=3, grid=SMALL_GRID)
    assert len(open_packed(Session.open(folder))) == 3
    (folder / "occupancy/000003_occupancy.npz").unlink()
    assert len(open_packed(Session.open(folder))) == 2
    manifest = json.loads((tmp_path / PACK_FOLDER / folder.name / "manifest.json").read_text())
    assert len(manifest["source"]["files"]) == 4


def test_suspect_sessions_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    folders = [write_session(tmp_path, "rover_0", number, frames=4, grid=SMALL_GRID) for number in range(3)]
    config = DatasetConfig(2, 1, point_cloud_range=(*SMALL_GRID.lower, *SMALL_GRID.upper), voxel_size=SMALL_GRID.voxel)

    def mark(folder: Path) -> None:
        described = folder / "session.json"
        described.write_text(json.dumps(json.loads(described.read_text()) | {"suspect": "the clock went back"}))

    mark(folders[1])
    with pytest.warns(UserWarning, match=rf"1 sessions .* left out, such as {folders[1].name}: the clock went back"):
        left = GazeboOccWorldDataset(tmp_path, config)
    assert [session.name for session in left.sessions] == [folders[0].name, folders[2].name]
    assert len(GazeboOccWorldDataset(tmp_path, replace(config, suspect=True)).sessions) == 3
    mark(folders[0])
    mark(folders[2])
    with pytest.warns(UserWarning), pytest.raises(SessionError, match="every session .* is suspect"):
        GazeboOccWorldDataset(tmp_path, config)


@pytest.mark.parametrize("damage", ["a bit", "half", "gone", "manifest"])
def test_a_damaged_pack_is_made_again(tmp_path: Path, damage: str) -> None:
    session = Session.open(write_session(tmp_path, "rover_0", 1, frames=3, grid=SMALL_GRID))
    whole = [frame.copy() for frame in (open_packed(session).frame(i).classes for i in range(3))]
    folder = tmp_path / PACK_FOLDER / session.name
    path = folder / ("manifest.json" if damage == "manifest" else "classes.npy")
    payload = bytearray(path.read_bytes())
    payload[-1] ^= 1
    path.write_bytes(payload[: len(payload) // 2] if damage in ("half", "manifest") else payload)
    if damage == "gone":
        path.unlink()
    again = open_packed(session)
    assert all(np.array_equal(again.frame(i).classes, whole[i]) for i in range(3))


def test_a_window_never_spans_a_gap(tmp_path: Path, config: Config) -> None:
    write_session(tmp_path, "rover_0", 1, frames=24, grid=SMALL_GRID, gap_after=11)
    windows = GazeboOccWorldDataset(tmp_path, config.data)
    assert [start for _, start in windows.windows] == [0, 1, 11, 12, 13, 14]


def overturned(folder: Path, numbers: range) -> None:
    """Turn the robot on its back in some frames."""
    for number in numbers:
        path = folder / f"poses/{number:06d}.json"
        data = json.loads(path.read_text())
        data["orientation"] = {"w": 0.0, "x": 1.0, "y": 0.0, "z": 0.0}
        path.write_text(json.dumps(data))


def test_windows_of_a_robot_on_its_back_are_left_out_unless_asked_for(tmp_path: Path, config: Config) -> None:
    folder = write_session(tmp_path, "rover_0", 1, frames=24, grid=SMALL_GRID)
    whole = [start for _, start in GazeboOccWorldDataset(tmp_path, config.data).windows]
    overturned(folder, range(15, 25))
    length = config.data.history_frames + config.data.future_frames
    windows = GazeboOccWorldDataset(tmp_path, config.data).windows
    assert [start for _, start in windows] == [start for start in whole if start + length <= 14] != []
    still = GazeboOccWorldDataset(tmp_path, replace(config.data, unwell=True)).windows
    assert [start for _, start in still] == whole
    overturned(folder, range(1, 25))
    with pytest.raises(SessionError, match=r"was well.*data\.unwell"):
        GazeboOccWorldDataset(tmp_path, config.data)


def test_short_drives_say_what_to_do(tmp_path: Path, config: Config) -> None:
    write_session(tmp_path, "rover_0", 1, frames=4, grid=SMALL_GRID)
    with pytest.raises(SessionError, match="record longer drives"):
        GazeboOccWorldDataset(tmp_path, config.data)


def test_another_grid_is_named(drives: Path) -> None:
    with pytest.raises(SessionError, match="recorded on another grid"):
        GazeboOccWorldDataset(drives, DatasetConfig())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_a_split_never_mixes_sessions_and_holds_out_each_type(drives: Path, seed: int, fraction: float) -> None:
    sessions = find_sessions(drives)
    split = split_sessions(sessions, fraction, seed)
    train, val = {s.name for s in split.train}, {s.name for s in split.val}
    assert not train & val and train | val == {s.name for s in sessions}
    for side in (train, val):
        assert {name.split("_")[0] for name in side} == {"drone", "rover"}
    assert split == split_sessions(list(reversed(sessions)), fraction, seed)


def test_a_written_split_is_followed_and_leaves_test_drives_alone(drives: Path, config: Config, tmp_path: Path) -> None:
    root = shutil.copytree(drives, tmp_path / "drives")
    a, b, c, d = (session.name for session in find_sessions(root))
    write_split(root, SessionSplit("session", train=(d, b), val=(a,), test=(c,)))
    names = {
        side: {session.name for session in GazeboOccWorldDataset(root, replace(config.data, split=side)).sessions}
        for side in ("train", "val", "test", "all")
    }
    assert names == {"train": {b, d}, "val": {a}, "test": {c}, "all": {a, b, c, d}}


def test_without_a_written_split_there_is_no_test_drive(drives: Path, config: Config) -> None:
    with pytest.raises(SessionError, match="no drive of .* is set apart for test"):
        GazeboOccWorldDataset(drives, replace(config.data, split="test"))


def test_a_written_split_that_does_not_fit_the_sessions_is_an_error_that_helps(drives: Path, tmp_path: Path) -> None:
    root = shutil.copytree(drives, tmp_path / "drives")
    sessions = find_sessions(root)
    names = tuple(session.name for session in sessions)
    write_split(root, SessionSplit("session", train=names[:2], val=names[2:3]))
    with pytest.raises(SessionError, match=rf"{names[3]} .* not in split\.json"):
        split_sessions(sessions, 0.2, 1)
    write_split(root, SessionSplit("session", train=names[:2], val=(), test=names[2:]))
    with pytest.raises(SessionError, match="no session of this type for val"):
        split_sessions(sessions, 0.2, 1)
    (root / "split.json").write_text("{}")
    with pytest.raises(SessionError, match=r"split\.json: not a split"):
        split_sessions(sessions, 0.2, 1)


def test_agent_type_filters(drives: Path, config: Config) -> None:
    windows = GazeboOccWorldDataset(drives, replace(config.data, agent_type="drone"))
    assert {s.agent for s in windows.sessions} == {"drone_0"}


def test_the_shipped_configs_are_read() -> None:
    for path in CONFIGS.glob("*.py"):
        config = read_config(path)
        assert Config.from_json(json.loads(json.dumps(config.to_json())), "round trip") == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = dict(base_chanel=3)", "unknown key 'model.base_chanel', the nearest is 'model.base_channel'"),
        ("optimiser = dict(lr=1.0)", "unknown key 'optimiser', the nearest is 'optimizer'"),
        ("model = dict(num_codes='4')", "'model.num_codes' is of type int, got '4'"),
        ("model = dict(architecture='fast', pach=4)", "unknown key 'model.pach', the nearest is 'model.patch'"),
        ("model = dict(architecture='quick')", "'model.architecture' is 'faithful' or 'fast', got 'quick'"),
        ("model = dict(channel_mult=(1, 2.5))", "'model.channel_mult' is of type int, got 2.5"),
        ("model = dict(embed_dim=32)", "model.embed_dim 32 differs from code_dim 64"),
        ("fp16 = 'yes'", "'fp16' is True or False, got 'yes'"),
        ("optimizer = dict(type='SGD')", "optimizer.type is 'AdamW', got 'SGD'"),
        ("training = dict(accumulate=0)", "training.accumulate is at least 1, got 0"),
        ("evaluation = dict(intervall=3)", "unknown key 'evaluation.intervall', the nearest is 'evaluation.interval'"),
        ("model = 3", "'model' is a dict of settings"),
        ("data = dict(agent_type='boat')", "agent_type is 'both', 'drone' or 'rover', got 'boat'"),
        ("max_epochs = True", "'training.max_epochs' is of type int"),
        ("data_root = 1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_wrong_config_is_an_error_that_helps(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        read_config(path)
