"""How long `tokyo up` takes to its first sweep, caches warm: `python -m bench.starting [--against COMMIT]`.

Seconds by the clock, which say little beside others, and of the processors, by all its processes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.against import ROOT, checkout, environment
from occ_core.topics import LIDAR

_ROUNDS = 5  # and one before, which fills the caches
_ROBOTS = ("drone_0", "rover_0")
_WAIT_S = 180.0
_OPTIONS = ("--sim", "embedded", "--drones", "1", "--rovers", "1", "--camera-rate", "0")


def first_sweep(tokyo: Path, city: Path, environ: dict[str, str]) -> tuple[float, float]:
    """Seconds until a process that was there before has heard a sweep of each robot, by the clock and of processors.

    RuntimeError where none comes.
    """
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    from occ_ros.qos import create_subscription

    heard: set[str] = set()
    rclpy.init()
    node, executor = rclpy.create_node("bench_starting"), SingleThreadedExecutor()
    executor.add_node(node)
    for name in _ROBOTS:
        create_subscription(node, LIDAR, lambda _message, name=name: heard.add(name), name)
    began = time.perf_counter()
    command = [str(tokyo), "up", "--city", str(city), *_OPTIONS]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while len(heard) < len(_ROBOTS):
                executor.spin_once(timeout_sec=0.05)
                if process.poll() is not None or time.perf_counter() - began > _WAIT_S:
                    raise RuntimeError(f"no sweep from {' '.join(command)}")
            return time.perf_counter() - began, _processor_seconds(process.pid)
        finally:
            process.terminate()
            process.wait()
            executor.shutdown()
            node.destroy_node()
            rclpy.shutdown()


def _processor_seconds(pid: int) -> float:
    """What a process and all that it has started have taken so far."""
    found, todo = 0.0, [pid]
    while todo:
        task = Path("/proc", str(todo.pop()))
        try:
            ticks = task.joinpath("stat").read_text().rpartition(")")[2].split()[11:15]
            todo += [int(child) for path in task.glob("task/*/children") for child in path.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
            continue
        found += sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return found


def seconds(tree: Path, python: Path, folder: Path, rounds: int = _ROUNDS) -> tuple[float, float]:
    """The medians of a tree, which imports the city by its own command first."""
    environ, tokyo, city = environment(python), python.parent / "tokyo", folder / "city"
    subprocess.run([str(tokyo), "city", "--out", str(city)], cwd=tree, env=environ, check=True, capture_output=True)
    first_sweep(tokyo, city, environ)
    clock, processors = zip(*(first_sweep(tokyo, city, environ) for _ in range(rounds)), strict=True)
    return median(clock), median(processors)


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(prog="bench.starting", description=__doc__)
    parser.add_argument("--against", default="", metavar="COMMIT", help="measure that commit too")
    args = parser.parse_args()
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    trees = {}
    with tempfile.TemporaryDirectory() as folder:
        if args.against:
            with checkout(args.against) as (tree, python):
                (Path(folder) / "old").mkdir()
                trees[args.against] = seconds(tree, python, Path(folder) / "old")
        (Path(folder) / "new").mkdir()
        trees["now"] = seconds(ROOT, Path(sys.executable), Path(folder) / "new")
    print("| `tokyo up` to the first sweep of a drone and a rover | s | CPU s |\n|---|---|---|")
    for name, (clock, processors) in trees.items():
        print(f"| {name} | {clock:.1f} | {processors:.2f} |")


if __name__ == "__main__":
    main()
