"""Live recording of a full rig at real time: two robots, each six 1600 x 900 cameras at 2 Hz and a LiDAR at 10 Hz."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.rig import Drive, at_real_time, make_drive
from occ_core.citymap import CityMap
from occ_core.grid import FRAME_PERIOD_S, TOKYO_GRID
from occ_core.keyframes import KeyframeBuilder, OccupancySource
from occ_core.session import SessionInfo, find_sessions
from occ_core.sync import Odometry, SweepSynchronizer
from occ_core.topics import CAMERAS
from occ_core.tracker import FrameTracker
from occ_recorder.recording import RobotRecording
from tokyo_occworld.cli.processes import node_environment

SECONDS = 12.0


@dataclass(frozen=True)
class Recorded:
    """cpu: seconds of processor time in `wall` seconds. behind: seconds that finishing takes after the last message."""

    frames: int
    wanted: int
    cpu: float
    wall: float
    behind: float
    problem: str = ""


def core(drive: Drive, city: CityMap, root: Path) -> Recorded:
    """The recorder without ROS: synchronizer, voxelizer, JPEG, disk, fed as its subscriptions feed it."""
    cameras = frozenset(CAMERAS) if drive.images[0][0] else frozenset()
    synchronizers = [SweepSynchronizer(FRAME_PERIOD_S, cameras, needs_actors=True, with_imu=True) for _ in drive.robots]
    recordings = []
    for robot in drive.robots:
        builder = KeyframeBuilder(TOKYO_GRID, OccupancySource.ACCUMULATED, city=city)
        info = SessionInfo(robot.name, TOKYO_GRID, FRAME_PERIOD_S, "accumulated")
        tracker = FrameTracker(robot.name, builder, robot.links, city.nearest_ground)
        recordings.append(RobotRecording(tracker, info, root, 0.0, jpeg_quality=90))
    cpu, wall = time.process_time(), time.perf_counter()
    for number, tick in at_real_time(drive):
        images = drive.images_at(number)
        for n, (robot, synchronizer) in enumerate(zip(drive.robots, synchronizers, strict=True)):
            reading = tick.readings[n]
            synchronizer.add_imu(tick.stamp, reading.angular_velocity, reading.acceleration)
            if tick.motions:
                motion = tick.motions[n]
                synchronizer.add_odometry(Odometry(tick.stamp, motion.pose, motion.linear, motion.angular))
            if tick.sweeps:
                synchronizer.add_actors(tick.stamp, tick.actors)
                points = np.dstack([tick.sweeps[n].points, tick.sweeps[n].intensity]).reshape(-1, 4)
                synchronizer.add_sweep(tick.stamp, points, f"{robot.name}/{robot.lidar.frame}")
            for camera, pixels in (images[n] if images else {}).items():
                synchronizer.add_image(tick.stamp, camera, pixels)
            for sweep in synchronizer.take():
                recordings[n].add(sweep)
    ended = time.perf_counter()
    for recording in recordings:
        recording.close()
    done = time.perf_counter()
    frames = sum(recording.status.frames for recording in recordings)
    problem = "; ".join(filter(None, (recording.status.problem for recording in recordings)))
    return Recorded(frames, _wanted(drive), time.process_time() - cpu, done - wall, done - ended, problem)


def over_dds(city: Path, root: Path) -> Recorded:
    """The recorder's process beside a process that publishes the drive; processor time is the recorder's alone."""
    rig = [sys.executable, "-m", "bench.rig", str(city), str(SECONDS)]
    parameters = ["-p", "robots:=[drone_0, rover_0]", "-p", f"output:={root}", "-p", f"city:={city}"]
    node = [sys.executable, "-m", "occ_recorder.nodes.recorder", "--ros-args", *parameters]
    with subprocess.Popen(rig, env=node_environment(bulky=True), stdout=subprocess.PIPE) as publisher:
        _wait_for(publisher, b"ready")
        with subprocess.Popen(node, env=node_environment()) as recorder:
            _wait_for(publisher, b"playing")
            cpu, wall = cpu_seconds(recorder.pid), time.perf_counter()
            _wait_for(publisher, b"played")
            cpu, wall = cpu_seconds(recorder.pid) - cpu, time.perf_counter() - wall
            publisher.wait()
            stopped = time.perf_counter()
            recorder.send_signal(signal.SIGINT)
            recorder.wait()
    frames = sum(map(len, find_sessions(root)))
    return Recorded(frames, 2 * (int(SECONDS / FRAME_PERIOD_S) + 1), cpu, wall, time.perf_counter() - stopped)


def _wait_for(process: subprocess.Popen, word: bytes) -> None:
    assert process.stdout is not None
    if (line := process.stdout.readline()) != word + b"\n":
        raise RuntimeError(f"the publisher said {line!r}, '{word.decode()}' was expected")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def writing(root: Path, copy: Path) -> float:
    """Processor seconds of writing a data root's files again, each synced: the same bytes, nothing made."""
    payloads = {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
    began = time.process_time()
    for name, payload in payloads.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        with open(copy / name, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
    return time.process_time() - began


def _wanted(drive: Drive) -> int:
    return len(drive.robots) * (int(drive.ticks[-1].stamp / FRAME_PERIOD_S) + 1)


def run(udx: Path, city: Path) -> str:
    """The table. udx: the sample city's CityGML; city: the same imported."""
    drive, known = make_drive(city, SECONDS), CityMap.load(city)
    lines = [
        "| two robots at real time | frames on disk | to finish | CPU, of one core | the same bytes written |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        core(make_drive(city, 1.0, cameras=False), known, Path(folder) / "warm-up")
        for name, record in (
            ("the core, without ROS", lambda root: core(drive, known, root)),
            ("the node, over DDS", lambda root: over_dds(city, root)),
        ):
            root = Path(folder) / name.split(",")[0].replace(" ", "_")
            made = record(root)
            plain = writing(root, root.with_suffix(".copy"))
            share, bytes_share = made.cpu / made.wall, plain / SECONDS
            frames = f"{made.frames} of {made.wanted}" + (f" ({made.problem})" if made.problem else "")
            lines.append(f"| {name} | {frames} | {made.behind:.2f} s | {share:.0%} | {bytes_share:.1%} |")
    return "\n".join(lines)
