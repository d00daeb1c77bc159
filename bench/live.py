"""The live forecast over DDS at real time: from a sweep's publication to its prediction, rate, and memory over time.

As a program, `python -m bench.live CITY MINUTES [ROBOTS]`, it soaks: the node's memory, each minute.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bench.recording import cpu_seconds
from bench.rig import Drive, Tick, make_drive
from occ_core.topics import ACTORS, PREDICTION
from occworld.checkpoint import Checkpoint, TrainingState, build_model
from occworld.config import read_config
from occworld_infer.shipped import shipped_checkpoint
from tokyo_occworld.cli.processes import node_environment

_CONFIG = Path(__file__).resolve().parents[1] / "learner/config/demo_tokyo.py"
_LAP_S = 20.0
_ROBOTS = ((0, "drone_0"), (1, "rover_0"), (0, "drone_1"), (1, "rover_1"))
"""Which of the drive's robots, and its name: the second pair drives as the first."""


@dataclass
class Run:
    """latencies: seconds by robot. memory: (wall seconds, bytes). cpu: of the node, a share of one core."""

    latencies: dict[str, list[float]]
    memory: list[tuple[float, int]] = field(default_factory=list)
    cpu: float = 0.0
    wall: float = 0.0


def checkpoint_in(folder: Path) -> tuple[Path, str]:
    """The shipped checkpoint, or where there is none the demo's model untrained; and which it is."""
    try:
        return shipped_checkpoint(), "shipped"
    except FileNotFoundError:
        config = read_config(_CONFIG)
        Checkpoint(config, build_model(config).state_dict(), TrainingState()).save(folder / "untrained.pt")
        return folder / "untrained.pt", "demo_tokyo, untrained"


def ticks(drive: Drive, seconds: float) -> Iterator[Tick]:
    """The drive at real time, lap after lap; stamps go on, and where a lap begins the robots jump back to its start."""
    began, lap = time.perf_counter(), drive.ticks[-1].stamp + 0.01
    number = 0
    while (stamp := number // len(drive.ticks) * lap + drive.ticks[number % len(drive.ticks)].stamp) < seconds:
        time.sleep(max(0.0, began + stamp - time.perf_counter()))
        yield replace(drive.ticks[number % len(drive.ticks)], stamp=round(stamp, 2))
        number += 1


@contextmanager
def node_process(checkpoint: Path, city: Path, robots: list[str]) -> Iterator[subprocess.Popen]:
    """The inference node."""
    values = {"checkpoint": checkpoint, "city": city, "robots": f"[{', '.join(robots)}]", "device": "cpu"}
    parameters = [part for key, value in values.items() for part in ("-p", f"{key}:={value}")]
    command = [sys.executable, "-m", "occworld_infer.nodes.inference", "--ros-args", *parameters]
    with subprocess.Popen(command, env=node_environment()) as process:
        try:
            yield process
        finally:
            process.terminate()


def forecast(city: Path, checkpoint: Path, drive: Drive, count: int, seconds: float, report=None) -> Run:
    """Publish the drive of so many robots, and hear what is predicted. report: called with each (seconds, bytes)."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    from occ_core.stamps import from_stamp
    from occ_ros.convert import to_actors
    from occ_ros.qos import create_publisher, create_subscription
    from tokyo_sim.nodes.robot_publishers import RobotPublishers

    names = [name for _, name in _ROBOTS[:count]]
    run, sent = Run({name: [] for name in names}), {}
    os.environ.update(node_environment())  # without larger shared memory most sweeps are lost on the way
    rclpy.init()
    node, executor = rclpy.create_node("bench_live"), SingleThreadedExecutor()
    executor.add_node(node)
    actors = create_publisher(node, ACTORS)
    robots = [RobotPublishers(node, replace(drive.robots[i], name=name), cameras=False) for i, name in _ROBOTS[:count]]

    def hear(name: str, message) -> None:
        run.latencies[name].append(time.perf_counter() - sent[round(from_stamp(message.header.stamp), 2)])

    for name in names:
        create_subscription(node, PREDICTION, lambda message, name=name: hear(name, message), name)
    with node_process(checkpoint, city, names) as process:
        while any(not robot._lidar.get_subscription_count() for robot in robots):
            if process.poll() is not None:
                raise RuntimeError("the node ended before it listened")
            executor.spin_once(timeout_sec=0.1)
        began, cpu = time.perf_counter(), cpu_seconds(process.pid)
        for tick in ticks(drive, seconds):
            sent[tick.stamp] = time.perf_counter()
            for robot, (i, _) in zip(robots, _ROBOTS[:count], strict=True):
                if tick.motions:
                    robot.publish_odometry(tick.motions[i], tick.stamp)
                if tick.sweeps:
                    robot.publish_sweep(tick.sweeps[i], tick.stamp)
            if tick.sweeps:
                actors.publish(to_actors(tick.actors, tick.stamp))
                run.memory.append((time.perf_counter() - began, resident(process.pid)))
                if report:
                    report(*run.memory[-1])
            executor.spin_once(timeout_sec=0.0)
        run.wall, run.cpu = time.perf_counter() - began, cpu_seconds(process.pid) - cpu
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()
    return run


def resident(pid: int) -> int:
    """Bytes of a process in memory (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def row(count: int, run: Run) -> str:
    """Of the table."""
    seconds = np.concatenate([np.array(values) for values in run.latencies.values()])
    if not len(seconds):
        return f"| {count} | none | | | | {run.cpu / run.wall:.0%} | {run.memory[-1][1] / 2**20:.0f} MiB |"
    p50, p95, p99 = (f"{1e3 * value:.0f} ms" for value in np.percentile(seconds, [50, 95, 99]))
    rate = len(seconds) / count / run.wall
    memory = run.memory[-1][1] / 2**20
    return f"| {count} | {p50} | {p95} | {p99} | {rate:.2f} Hz | {run.cpu / run.wall:.0%} | {memory:.0f} MiB |"


def run(udx: Path, city: Path) -> str:
    """The table. udx: the sample city's CityGML; city: the same imported."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, which = checkpoint_in(Path(folder))
        drive = make_drive(city, _LAP_S, cameras=False)
        lines = [
            f"| robots ({which}, CPU) | sweep to prediction, p50 | p95 | p99 | each | CPU, of one core | memory |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [row(count, forecast(city, checkpoint, drive, count, _LAP_S)) for count in (1, 4)]
        return "\n".join(lines)


def soak(city: Path, minutes: float, count: int) -> None:
    """Print the node's memory each minute."""
    said = [0]

    def report(seconds: float, size: int) -> None:
        if seconds >= 60 * said[0]:
            print(f"{seconds / 60:5.1f} min {size / 2**20:7.1f} MiB", flush=True)
            said[0] += 1

    with tempfile.TemporaryDirectory() as folder:
        checkpoint, which = checkpoint_in(Path(folder))
        result = forecast(city, checkpoint, make_drive(city, _LAP_S, cameras=False), count, 60 * minutes, report)
    print(f"{count} robots, {which}: {sum(map(len, result.latencies.values()))} forecasts in {minutes:g} min")


if __name__ == "__main__":
    soak(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 2)
