"""Occ3D-nuScenes, on a small set in its format: what is read, and the scores against arithmetic of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import eval as evaluation_command
import numpy as np
import pytest
from runs import write_config

from occ_core.session import SessionError
from occworld.checkpoint import Checkpoint, TrainingState, build_model
from occworld.config import Config, DatasetConfig, FaithfulConfig
from occworld.occ3d import GRID, NAMES, Occ3dDataset
from occworld.occ3d_scores import VOXELS, evaluate_occ3d

FREE, FRAMES, STEP_M = 17, 11, 0.8  # two voxels ahead in each frame
SCENES = {"scene-0003": "train", "scene-0012": "val"}


def _world(generator: np.random.Generator) -> np.ndarray:
    """Classes 0 to 17 along a road of 240 columns: ground, walls of all kinds, cones."""
    world = np.full((240, 200, 16), FREE, np.uint8)
    world[:, :, 2] = 11
    world[:, :60, 2] = 14
    for kind in range(17):
        for x, y in generator.integers(0, 200, (12, 2)):
            world[x : x + 4, y : y + 5, 3 : 3 + 1 + kind % 6] = kind
    return world


def _write(root: Path) -> dict[str, list[str]]:
    """Two scenes, straight ahead, facing west at a place in the map. Tokens of each by time; files are not in order."""
    generator = np.random.default_rng(3)
    tokens: dict[str, list[str]] = {}
    infos: dict[str, dict] = {}
    for scene in SCENES:
        world = _world(generator)
        tokens[scene] = [f"{value:032x}" for value in generator.integers(0, 2**60, FRAMES).tolist()]
        for i, token in enumerate(tokens[scene]):
            folder = root / "gts" / scene / token
            folder.mkdir(parents=True)
            masks = generator.random((2, *GRID.shape)) < 0.5
            np.savez_compressed(
                folder / "labels.npz", semantics=world[2 * i : 2 * i + 200], mask_lidar=masks[0].astype(np.uint8),
                mask_camera=masks[1].astype(np.uint8),
            )  # fmt: skip
        infos[scene] = {
            token: {
                "timestamp": str(1_533_000_000_000_000 + 500_000 * i),
                "ego_pose": {"translation": [600.0 - STEP_M * i, 1600.0, 0.0], "rotation": [0.0, 0.0, 0.0, 1.0]},
                "gt_path": f"gts/{scene}/{token}/labels.npz",
            }
            for i, token in sorted(enumerate(tokens[scene]), key=lambda pair: pair[1])
        }
    split = {f"{side}_split": [scene for scene, at in SCENES.items() if at == side] for side in ("train", "val")}
    (root / "annotations.json").write_text(json.dumps({**split, "scene_infos": infos}))
    return tokens


def _write_tables(root: Path, annotations: dict) -> None:
    """The same poses as tables of nuScenes."""
    folder = root / "v1.0-mini"
    folder.mkdir()
    samples, data, poses = [], [], []
    for scene, infos in annotations["scene_infos"].items():
        for token, info in infos.items():
            samples.append({"token": token, "scene_token": f"t-{scene}", "timestamp": int(info["timestamp"])})
            for sensor, key in (("LIDAR_TOP", True), ("LIDAR_TOP", False), ("CAM_FRONT", True)):
                right = sensor == "LIDAR_TOP" and key
                pose = f"{token}-{sensor}-{key}"
                data.append(
                    {"sample_token": token, "ego_pose_token": pose, "is_key_frame": key, "filename": f"s/{sensor}/x"}
                )
                wrong = {"translation": [0.0, 0.0, 0.0], "rotation": [1.0, 0.0, 0.0, 0.0]}
                poses.append({"token": pose, **(info["ego_pose"] if right else wrong)})
    rows = {"sample": samples, "sample_data": data, "ego_pose": poses}
    rows["scene"] = [{"token": f"t-{scene}", "name": scene} for scene in annotations["scene_infos"]]
    for name, table in rows.items():
        (folder / f"{name}.json").write_text(json.dumps(table))


@pytest.fixture(scope="module")
def occ3d(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    root = tmp_path_factory.mktemp("occ3d")
    return root, _write(root)


@pytest.fixture(scope="module")
def narrow() -> Config:
    """The original's grid and classes, a model of small widths."""
    model = FaithfulConfig(
        class_table="occ3d", class_dim=2, base_channel=4, channel_mult=(1, 1, 1, 1), num_res_blocks=1, num_codes=16,
        code_dim=8, embed_dim=8, num_layers=1, temporal_attn_layers=1, pose_attn_layers=1, num_heads=2, dropout=0.0,
        max_frames=12, pose="mode", pose_hidden=8,
    )  # fmt: skip
    grid = {"point_cloud_range": (*GRID.lower, *GRID.upper), "voxel_size": GRID.voxel}
    return Config(data=DatasetConfig(**grid), model=model)


def test_windows_hold_the_labels_poses_and_masks_of_consecutive_keyframes(occ3d: tuple) -> None:
    root, tokens = occ3d
    assert {split: len(Occ3dDataset(root, split, 4, 6)) for split in ("train", "val", "all")} == {
        "train": 2, "val": 2, "all": 4,
    }  # fmt: skip
    data = Occ3dDataset(root, "val", 4, 6)
    window = data[1]
    assert window.session == "scene-0012" and window.start == 1
    for i, token in enumerate(tokens["scene-0012"][1:]):
        with np.load(root / "gts/scene-0012" / token / "labels.npz") as file:
            dense = window.frames[i].dense(GRID.shape)
            assert ((dense == 0) == (file["semantics"] == FREE)).all()
            assert (dense[dense > 0] - 1 == file["semantics"][dense > 0]).all()
            assert (np.unpackbits(window.observed[i]).reshape(GRID.shape) == file["mask_lidar"]).all()
            assert (np.unpackbits(data.camera(1)[i]).reshape(GRID.shape) == file["mask_camera"]).all()
    assert window.motion[4:, 0] == pytest.approx(STEP_M * np.arange(1, 7)) and np.allclose(window.motion[:, 1:], 0)
    assert window.pose_13d[:, 7:10] == pytest.approx(np.tile([2 * STEP_M, 0, 0], (10, 1)))


def test_tables_of_nuscenes_say_what_the_annotations_say(occ3d: tuple, tmp_path: Path) -> None:
    root, _ = occ3d
    (tmp_path / "gts").symlink_to(root / "gts")
    _write_tables(tmp_path, json.loads((root / "annotations.json").read_text()))
    ours, theirs = Occ3dDataset(tmp_path, "all", 4, 6), Occ3dDataset(root, "all", 4, 6)
    assert len(ours) == len(theirs) == 4
    for i in range(4):
        assert np.allclose(ours[i].footprint, theirs[i].footprint) and np.allclose(ours[i].pose_13d, theirs[i].pose_13d)
        assert all((a.voxels == b.voxels).all() for a, b in zip(ours[i].frames, theirs[i].frames, strict=True))


def _independent(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """IoU and mIoU of pairs (said, true) of Occ3D ids in any shape, from sets."""
    said, true = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    iou = ((said != FREE) & (true != FREE)).sum() / ((said != FREE) | (true != FREE)).sum()
    each = [
        ((said == c) & (true == c)).sum() / ((said == c) | (true == c)).sum() for c in range(17) if (true == c).any()
    ]
    return float(iou), float(np.mean(each))


def test_scores_are_those_of_an_independent_computation(occ3d: tuple, narrow: Config) -> None:
    root, tokens = occ3d
    model = build_model(narrow)
    evaluation = evaluate_occ3d(model, Occ3dDataset(root, "val", 4, 6))
    files = [np.load(root / "gts/scene-0012" / token / "labels.npz") for token in tokens["scene-0012"]]
    semantics = [file["semantics"] for file in files]
    masks = {VOXELS[0]: None, VOXELS[1]: "mask_lidar", VOXELS[2]: "mask_camera"}
    for kind, mask in masks.items():
        for step in range(6):
            pairs: dict[str, list] = {"copy": [], "warp_oracle": []}
            for start in (0, 1):
                now, later = start + 3, start + 4 + step
                keep = files[later][mask] > 0 if mask else np.ones(GRID.shape, bool)
                moved = np.full(GRID.shape, FREE, np.uint8)
                moved[: 200 - 2 * (step + 1)] = semantics[now][2 * (step + 1) :]
                pairs["copy"].append((semantics[now][keep], semantics[later][keep]))
                pairs["warp_oracle"].append((moved[keep], semantics[later][keep]))
            for method, said in pairs.items():
                score = evaluation.scores[kind][method][step]
                assert (score.iou, score.miou) == pytest.approx(_independent(said), abs=1e-12)
    assert evaluation.scores[VOXELS[0]]["warp"] == evaluation.scores[VOXELS[0]]["warp_oracle"], "it drives straight on"
    chosen = [evaluation.scores[VOXELS[0]]["copy"][i].miou for i in (1, 3, 5)]
    assert evaluation.average[VOXELS[0]]["copy"]["miou"] == pytest.approx(np.mean(chosen))
    assert set(evaluation.scores[VOXELS[0]]["copy"][0].per_class) == set(NAMES[1:])


def test_the_eval_command_reads_it_with_published_or_own_weights(
    occ3d: tuple, narrow: Config, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    root, _ = occ3d
    Checkpoint(narrow, build_model(narrow).state_dict(), TrainingState()).save(tmp_path / "best.pth")
    config = write_config(tmp_path / "config.py", narrow)
    arguments = ["--checkpoint", str(tmp_path / "best.pth"), "--data-root", str(root), "--max-windows", "1"]
    for extra in ([], ["--config", str(config)]):
        out = tmp_path / f"out{len(extra)}"
        assert evaluation_command.main([*arguments, *extra, "--out", str(out)]) == 0
        body = json.loads((out / "metrics.json").read_text())
        assert body["windows"] == 1 and "| driveable_surface |" in (out / "metrics.md").read_text()
    other = replace(narrow, model=replace(narrow.model, class_table="tokyo"))
    Checkpoint(other, build_model(other).state_dict(), TrainingState()).save(tmp_path / "best.pth")
    capsys.readouterr()
    assert evaluation_command.main([*arguments, "--out", str(tmp_path / "no")]) == 2
    assert "class_table 'occ3d'" in capsys.readouterr().err


def test_what_is_missing_is_a_sentence(occ3d: tuple, tmp_path: Path) -> None:
    root, tokens = occ3d
    folder = tmp_path / "gts/scene-0012"
    folder.mkdir(parents=True)
    for token in tokens["scene-0012"][:-1]:
        (folder / token).symlink_to(root / "gts/scene-0012" / token)
    with pytest.raises(SessionError, match="poses are missing"):
        Occ3dDataset(tmp_path, "all", 4, 6)
    (tmp_path / "annotations.json").write_text((root / "annotations.json").read_text())
    with pytest.raises(SessionError, match=rf"no labels.npz of {tokens['scene-0012'][-1]} \(1 of 11"):
        Occ3dDataset(tmp_path, "all", 4, 6)
    (folder / tokens["scene-0012"][-1]).mkdir()
    (folder / tokens["scene-0012"][-1] / "labels.npz").write_bytes(b"PK\x03\x04torn")
    with pytest.raises(SessionError, match=r"labels.npz: no labels of Occ3D"):
        Occ3dDataset(tmp_path, "all", 4, 6)[1]
    with pytest.raises(SessionError, match="no scene of 16 labelled keyframes"):
        Occ3dDataset(tmp_path, "val", 10, 6)
