"""Forecasts of what there was, where that was recorded beside what LiDAR saw of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import eval as evaluation_command
import numpy as np
import pytest
import torch
from street import SMALL_GRID, write_session

from occ_core.classes import NUM_CLASSES
from occ_core.session import SessionError, find_sessions
from occ_core.sparse_grid import SparseGrid
from occworld.checkpoint import build_model
from occworld.config import Config, ConfigError
from occworld.dataset import Batch, GazeboOccWorldDataset, Window, bits_at
from occworld.losses import class_weights

HALF = SMALL_GRID.shape[1] // 2


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drives of the fixture `drives` as robots record them that see nothing on their right."""
    root = tmp_path_factory.mktemp("seen")
    for seed, agent in enumerate(("drone_0", "drone_0", "rover_0", "rover_0")):
        folder = write_session(root, agent, seed, frames=14, grid=SMALL_GRID, one_eyed=True)
        folder.rename(root / f"{agent}_{3 - seed}_elsewhere")  # names tell nothing of which drive is which
    return root


@pytest.fixture
def window(config: Config, drives: Path, seen: Path) -> Window:
    return GazeboOccWorldDataset(seen, config.data, drives)[0]


def test_histories_are_what_was_seen_and_futures_what_there_was(
    config: Config, drives: Path, seen: Path, window: Window
) -> None:
    truths = GazeboOccWorldDataset(drives, config.data).sessions
    of_truth = {session.agent + str(session.pose_13d): session for session in truths}
    both, alone = GazeboOccWorldDataset(seen, config.data, drives), GazeboOccWorldDataset(seen, config.data)
    assert len(both) == len(alone) > 0
    for index, (number, start) in enumerate(both.windows):
        session = both.sessions[number]
        same = of_truth[session.agent + str(session.pose_13d)]
        dense = [frame.dense(SMALL_GRID.shape) for frame in both[index].frames]
        assert not any(frame[:, :HALF].any() for frame in dense)
        for step, frame in enumerate(both[index].future):
            truth = same.frame(start + config.data.history_frames + step).dense(SMALL_GRID.shape)
            assert truth[:, :HALF].any() and np.array_equal(frame.dense(SMALL_GRID.shape), truth)
        assert alone[index].truth is None and len(alone[index].future) == config.data.future_frames
    bits = bits_at(window.observed[0], np.arange(SMALL_GRID.size)).reshape(SMALL_GRID.shape)
    assert not bits[:, :HALF].any() and bits[:, HALF:].all()


def test_a_session_without_its_truth_is_named(config: Config, drives: Path, seen: Path, tmp_path: Path) -> None:
    """Inputs: a drive that is missing, one of another seed, one that is a frame shorter, one on another grid."""
    for seed, agent in enumerate(("drone_0", "drone_0", "rover_0")):
        write_session(tmp_path, agent, seed, frames=13 if seed == 1 else 14, grid=SMALL_GRID)
    write_session(tmp_path, "rover_0", 9, frames=14, grid=SMALL_GRID)
    with pytest.raises(SessionError, match=r"drone_0_2_elsewhere \(2 in all\): no session in .* of the same drive"):
        GazeboOccWorldDataset(seen, config.data, tmp_path)
    with pytest.raises(SessionError, match="no sessions in"):
        GazeboOccWorldDataset(seen, config.data, tmp_path / "none")
    write_session(tmp_path / "coarse", "rover_0", 2, frames=2, grid=replace(SMALL_GRID, voxel=(1.6, 1.6, 1.25)))
    with pytest.raises(SessionError, match="another grid than the config's"):
        GazeboOccWorldDataset(seen, config.data, tmp_path / "coarse")


def _without(window: Window, side: str) -> Window:
    """A window in whose future nothing stands on one side."""

    def kept(frame: SparseGrid) -> SparseGrid:
        right = frame.voxels // SMALL_GRID.shape[2] % SMALL_GRID.shape[1] < HALF
        keep = ~right if side == "right" else right
        return SparseGrid(frame.voxels[keep], frame.classes[keep], frame.instances[keep])

    return replace(window, truth=tuple(kept(frame) for frame in window.future))


def test_what_lidar_has_not_seen_counts_only_where_asked(config: Config, window: Window) -> None:
    model = build_model(config)
    weights = class_weights(np.ones(NUM_CLASSES))

    def parts(observed_only: bool, of: Window) -> tuple[float, float, float]:
        torch.manual_seed(3)
        losses = model.objective(replace(config.training, observed_only=observed_only), weights)(Batch([of]), 2)
        return losses.occupancy.item(), losses.column.item(), losses.classes.item()

    for observed_only in (False, True):
        whole, unseen, seen_side = (
            parts(observed_only, of) for of in (window, _without(window, "right"), _without(window, "left"))
        )
        assert (whole == unseen) == observed_only
        assert all(a != b for a, b in zip(whole, seen_side, strict=True))


def test_a_faithful_model_is_not_judged_by_a_mask(faithful: Config) -> None:
    with pytest.raises(ConfigError, match="observed_only is for model.architecture 'fast'"):
        build_model(faithful).objective(
            replace(faithful.training, observed_only=True), np.ones(NUM_CLASSES, np.float32)
        )


def test_a_run_with_truth_and_its_judgement(
    config: Config, drives: Path, seen: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    from occworld.trainer import Trainer

    training = replace(config.training, max_epochs=1, observed_only=True)
    config = replace(config, data_root=str(seen), truth_root=str(drives), training=training)
    Trainer(config, tmp_path / "work").fit()
    common = ["--checkpoint", str(tmp_path / "work/best.pth"), "--data-root", str(seen), "--max-windows", "2"]
    for name, more in (("seen", []), ("truth", ["--truth-root", str(drives)])):
        assert evaluation_command.main([*common, "--split", "all", "--out", str(tmp_path / name), *more]) == 0
    by_seen, by_truth = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("seen", "truth"))
    # Half of what there was is never seen: a copy of what was seen finds half of it at most.
    for row, other in zip(by_seen["scores"]["copy"], by_truth["scores"]["copy"], strict=True):
        assert other["iou"] < 0.75 * row["iou"]
    sample = np.load(tmp_path / "truth/samples.npz")
    assert sample["truth"][:, :, :HALF].any() and not sample["current"][:, :HALF].any()
    capsys.readouterr()
    assert evaluation_command.main([*common, "--out", str(tmp_path / "no"), "--truth-root", str(tmp_path / "x")]) == 2
    assert "no folder of sessions" in capsys.readouterr().err
    assert len(find_sessions(seen)) == 4
