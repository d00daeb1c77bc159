"""A recorded session loads unchanged in the dataset class of the public VeryLargeWeebModel (zitterbewegung).

What that class asks of files is written down here, a rule a test. Where VLWM_REPO names a clone (with torch and OpenCV
installed), the real class reads the same sessions and every tensor is compared.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from occ_core.grid import TOKYO_GRID
from occ_core.keyframes import KeyframeBuilder, OccupancySource
from occ_core.poses import Pose
from occ_core.session import Session, SessionInfo, find_sessions
from occ_core.sync import Odometry, SyncedSweep
from occ_core.topics import CAMERAS
from occ_core.tracker import FrameTracker
from occ_recorder.recording import RobotRecording

WINDOW = 10  # four frames of history, six of future
FRAMES = 12
MOUNT = Pose.from_xyz_rpy([0, 0, 1], [0, 0, 0])


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A drone's and a rover's session, recorded on the standard grid at 5 m/s with all six cameras and an IMU."""
    folder = tmp_path_factory.mktemp("data")
    for agent in ("drone_0", "rover_0"):
        builder = KeyframeBuilder(TOKYO_GRID, OccupancySource.LIDAR)
        tracker = FrameTracker(agent, builder, {"lidar_link": MOUNT}, lambda x, y: 0.0)
        recording = RobotRecording(tracker, SessionInfo(agent, TOKYO_GRID, 0.5, "lidar"), folder, 0.0, 90)
        for frame in range(FRAMES):
            recording.add(sweep(agent, frame))
        recording.mark("a session with all that one can have")
        recording.close()
        assert recording.status.frames == FRAMES
    return folder


def sweep(agent: str, frame: int) -> SyncedSweep:
    rng = np.random.default_rng(frame)
    stamp = 10 + 0.5 * frame
    pose = Pose.from_xyz_rpy([5 * stamp, 3, 20.0 if agent == "drone_0" else 0.4], [0.02, -0.1, 0.3])
    odometry = Odometry(stamp, pose, np.array([5.0, 0.1, 0]), np.array([0, 0, 0.2]))
    points = np.column_stack([rng.normal(size=(2000, 3)) * [15, 15, 3], rng.random(2000)]).astype(np.float32)
    images = {camera: np.full((36, 64, 3), rng.integers(0, 256, 3), np.uint8) for camera in CAMERAS}
    return SyncedSweep(stamp, points, f"{agent}/lidar_link", odometry, [], True, images, np.zeros((50, 7)))


@pytest.fixture(params=["drone", "rover"])
def session(root, request) -> Session:
    return next(session for session in find_sessions(root) if session.name.startswith(request.param))


def ids(session: Session) -> list[str]:
    """Its frame ids: the names of all grid files, sorted as text, less the ending."""
    return [path.name.removesuffix("_occupancy.npz") for path in sorted((session.folder / "occupancy").glob("*.npz"))]


def test_every_folder_in_the_root_is_a_session_with_its_four_folders(root):
    for folder in (path for path in root.iterdir() if path.is_dir()):
        assert {"images", "lidar", "poses", "occupancy"} <= {path.name for path in folder.iterdir() if path.is_dir()}


def test_names_begin_with_the_kind_of_agent_and_do_not_say_dummy(root):
    names = sorted(path.name for path in root.iterdir())
    assert [name.split("_")[0] for name in names] == ["drone", "rover"]
    assert "drone" not in names[1] and not any("dummy" in name.lower() for name in names)


def test_frames_sorted_as_text_are_in_the_order_of_time(session):
    stamps = [json.loads((session.folder / f"poses/{i}.json").read_text())["timestamp"] for i in ids(session)]
    assert len(stamps) == FRAMES and np.diff(stamps) == pytest.approx(np.full(FRAMES - 1, 0.5))


def test_poses_are_13_numbers_with_w_first_and_the_position_by_name_too(session):
    for number, i in enumerate(ids(session), start=1):
        data = json.loads((session.folder / f"poses/{i}.json").read_text())
        vector = np.asarray(data["pose_13d"], np.float32)
        assert vector.shape == (13,) and np.linalg.norm(vector[3:7]) == pytest.approx(1, abs=1e-6)
        state = session.state(number)
        assert vector[:3] == pytest.approx(state.base_link.position) == [data["position"][axis] for axis in "xyz"]
        assert vector[3:7] == pytest.approx(state.base_link.orientation)
        assert vector[7:] == pytest.approx([5, 0.1, 0, 0, 0, 0.2])
        for key, names in (("orientation", "wxyz"), ("velocity", ("linear", "angular"))):
            assert set(data[key]) == set(names)


def test_a_drive_moves_more_than_its_filter_of_static_sequences_asks_for(session):
    positions = [session.state(number).base_link.position for number in session.numbers]
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    assert steps[: WINDOW - 1].sum() >= 0.1 * (WINDOW - 1) * 0.5 and steps[: WINDOW - 1].mean() >= 0.1 * 0.5


def test_grids_are_under_their_key_numbers_that_torch_takes_and_all_of_one_shape(session):
    for i in ids(session):
        with np.load(session.folder / f"occupancy/{i}_occupancy.npz") as data:
            assert data["occupancy"].shape == (200, 200, 121) and data["occupancy"].dtype == np.uint8
            assert data["occupancy"].any()


def test_points_are_rows_of_four_floats(session):
    for i in ids(session):
        points = np.load(session.folder / f"lidar/{i}_LIDAR.npy")
        assert points.ndim == 2 and points.shape[1] == 4 and points.dtype == np.float32 and 0 < len(points) <= 100000


def test_each_of_the_six_cameras_has_a_jpeg(session):
    channels = ["CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT"]
    for i in ids(session):
        for channel in channels:
            with Image.open(session.folder / f"images/{i}_{channel}.jpg") as image:
                assert (image.format, image.size, image.mode) == ("JPEG", (64, 36), "RGB")


# -- the real class

REPOSITORY = os.environ.get("VLWM_REPO")


@pytest.fixture(scope="module")
def theirs():
    if not REPOSITORY:
        pytest.skip("VLWM_REPO names no clone of zitterbewegung/VeryLargeWeebModel")
    pytest.importorskip("torch")
    pytest.importorskip("cv2")
    path = Path(REPOSITORY) / "dataset/gazebo_occworld_dataset.py"
    spec = importlib.util.spec_from_file_location("vlwm_dataset", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def their_dataset(theirs, root: Path, **options):
    config = theirs.DatasetConfig(val_ratio=0.0, test_ratio=0.0, image_size=(36, 64), **options)
    return theirs.GazeboOccWorldDataset(str(root), config)


@pytest.mark.parametrize(("agent", "kind"), [("drone", 1), ("rover", 0)])
def test_the_real_class_reads_what_was_recorded(theirs, root, agent, kind):
    dataset = their_dataset(theirs, root, agent_type=agent)
    session = next(session for session in find_sessions(root) if session.name.startswith(agent))
    assert len(dataset) == FRAMES - WINDOW + 1
    for start in range(len(dataset)):
        sample = dataset[start]
        numbers = session.numbers[start : start + WINDOW]
        assert (sample["session"], sample["agent_type"]) == (session.name, kind)
        assert [int(i) for i in sample["frames"]] == list(numbers)
        poses = np.concatenate([sample["history_poses"], sample["future_poses"]])
        grids = np.concatenate([sample["history_occupancy"], sample["future_occupancy"]])
        for number, pose, grid in zip(numbers, poses, grids, strict=True):
            assert pose == pytest.approx(session.state(number).pose_13d, abs=1e-5)
            assert (grid == session.classes(number)).all()
        for number, points, images in zip(numbers, sample["history_lidar"], sample["history_images"], strict=False):
            assert (points.numpy() == session.points(number)).all()
            assert images.keys() == set(CAMERAS.values())
            for channel, image in images.items():
                with Image.open(session.image_path(number, channel)) as picture:
                    ours = np.asarray(picture, np.float32) / 255
                assert np.abs(image.numpy().transpose(1, 2, 0) - ours).max() < 0.02


def test_the_real_class_takes_both_agents_and_its_loader_makes_batches(theirs, root):
    dataset = their_dataset(theirs, root)
    assert len(dataset) == 2 * (FRAMES - WINDOW + 1)
    assert dataset.validate_dataset()["static_sequences"] == 0
    batch = theirs.collate_fn([dataset[0], dataset[len(dataset) - 1]])
    assert batch["history_occupancy"].shape == (2, 4, 200, 200, 121)
    assert batch["future_poses"].shape == (2, 6, 13)
    assert batch["history_images"]["CAM_BACK"].shape == (2, 4, 3, 36, 64)
