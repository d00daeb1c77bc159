"""A drive of the real simulator, recorded live and as a bag: both ways give the same frames, byte for byte."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import in_process
import pytest
from drives import DRIVEN_S
from paths import TOKYO
from processes import PATIENCE_S
from rosbags.rosbag2 import Reader

from occ_core.session import Session, find_sessions
from tokyo_occworld.cli.processes import node_environment

PLAYER = Path(__file__).with_name("player.py")
ROBOTS = ("drone_0", "rover_0")


def by_stamp(session: Session) -> dict[float, tuple[bytes, ...]]:
    """Occupancy, pose, points and front image of each frame, as they are on disk."""
    frames = {}
    for number in session.numbers:
        names = (f"occupancy/{number:06d}_occupancy.npz", f"poses/{number:06d}.json", f"lidar/{number:06d}_LIDAR.npy")
        files = [session.folder / name for name in names] + [session.image_path(number, "CAM_FRONT")]
        frames[round(session.state(number).stamp, 3)] = tuple(path.read_bytes() for path in files)
    return frames


def sessions_of(folder: Path) -> dict[str, dict[float, tuple[bytes, ...]]]:
    return {session.info.agent: by_stamp(session) for session in find_sessions(folder)}


def convert(bag: Path, output: Path, city: Path, *more: str) -> str:
    command = [TOKYO, "bag2sessions", str(bag), "--output", str(output), "--city", str(city), *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)  # plays a drive in real time, and on a busy machine waits for who listens
def test_live_a_bag_and_a_played_bag_give_the_same_frames(driven: Path, city: Path, tmp_path: Path) -> None:
    bag = driven / "bag"
    with Reader(bag) as reader:
        topics = {connection.topic: connection for connection in reader.connections}
        assert {"/clock", "/city/actors", *(f"/{robot}/imu" for robot in ROBOTS)} <= topics.keys()
        description, sweeps = (topics[f"/rover_0/{name}"].ext for name in ("robot_description", "lidar/points"))
        assert description.offered_qos_profiles[0].durability.name == "TRANSIENT_LOCAL"
        assert sweeps.offered_qos_profiles[0].reliability.name == "RELIABLE"  # in lock step
        assert all(connection.msgdef.data for connection in topics.values())
    convert(bag, tmp_path / "from_bag", city)
    live, from_bag = sessions_of(driven / "sessions"), sessions_of(tmp_path / "from_bag")
    for robot in ROBOTS:
        assert live[robot].keys() == from_bag[robot].keys() and len(live[robot]) == 2 * DRIVEN_S
        for stamp, frame in live[robot].items():
            assert frame == from_bag[robot][stamp], f"{robot} at {stamp} s"

    played = play(bag, tmp_path, city)
    assert played["rover_0"] == from_bag["rover_0"]
    # A bag of the played bag, of one robot, stopped by SIGTERM.
    with Reader(tmp_path / "again") as reader:
        robots = {connection.topic.split("/")[1] for connection in reader.connections}
        assert "rover_0" in robots and "drone_0" not in robots
    convert(tmp_path / "again", tmp_path / "from_again", city)
    assert sessions_of(tmp_path / "from_again")["rover_0"] == from_bag["rover_0"]


def play(bag: Path, folder: Path, city: Path) -> dict[str, dict[float, tuple[bytes, ...]]]:
    """What the live recorder makes of a bag that is played, while another bag is recorded of it."""
    record = [TOKYO, "record", "--robots", "rover_0"]
    commands = [
        [*record, "--city", str(city), "--output", str(folder / "played")], [*record, "--bag", str(folder / "again")],
    ]  # fmt: skip
    recorders = [subprocess.Popen(command, start_new_session=True) for command in commands]
    try:
        topics = ["lidar/points", "odom", "imu", "camera/front/image_raw", "camera/back_left/image_raw"]
        heard = [f"/rover_0/{topic}" for topic in topics] + ["/city/actors"]
        # Shared memory as large as the simulator's, or sweeps are lost on the way.
        player = [sys.executable, str(PLAYER), str(bag), "1", "2", *heard]
        subprocess.run(player, check=True, env=node_environment(bulky=True))
    finally:
        for recorder in recorders:
            recorder.send_signal(signal.SIGTERM)
        codes = [recorder.wait(PATIENCE_S) for recorder in recorders]
    assert codes == [0, 0]
    return sessions_of(folder / "played")


def test_a_bag_is_not_written_over_another_and_the_command_says_so(tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    done = in_process.tokyo("record", "--bag", tmp_path / "bag")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "is there already" in done.stderr
    done = in_process.tokyo("record", "--topics", "/clock")
    assert done.returncode == 2 and "--bag" in done.stderr
