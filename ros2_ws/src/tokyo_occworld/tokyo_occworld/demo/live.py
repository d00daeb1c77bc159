"""The live stage: simulator and inference node as processes, an independent listener that measures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import PointCloud2

from occ_core.progress import ProgressBar
from occ_core.topics import LATENCY, PREDICTION
from occ_ros.convert import from_cloud
from occ_ros.qos import create_subscription
from tokyo_occworld.cli.clock import SimulatedTime
from tokyo_occworld.cli.processes import NodeProcesses
from tokyo_occworld.demo.stages import StageFailed
from tokyo_sim.bringup import Arguments, nodes

_WANTED_FORECASTS = 20
_MOST_SIMULATED_S = 150.0


def measure_live(args: Arguments, out: Path) -> None:
    """Run a bring-up with a forecast until enough have come over ROS 2; write their latencies to a JSON file.

    Not in lock step: a live forecast is one that nobody waits for. The start is waited for while the processes live.
    """
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("demo_listener", context=context)
    predictions: list[PointCloud2] = []
    latencies: list[list[float]] = []
    create_subscription(node, PREDICTION, predictions.append, "rover_0")
    create_subscription(node, LATENCY, lambda message: latencies.append(list(message.data)), "rover_0")
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        with (
            SimulatedTime() as clock,
            NodeProcesses(nodes(args), out.with_suffix(".log")) as processes,
            ProgressBar(_WANTED_FORECASTS, "live", "forecast") as progress,
        ):
            while (come := min(len(latencies), len(predictions))) < _WANTED_FORECASTS:
                executor.spin_once(timeout_sec=0.2)
                progress.at(come)
                problem = processes.failed()
                if problem or clock.seconds > _MOST_SIMULATED_S:
                    problem = problem or f"only {come} forecasts in {_MOST_SIMULATED_S:.0f} simulated s"
                    raise StageFailed(f"{problem}; see {out.with_suffix('.log')}")
    finally:
        node.destroy_node()
        context.try_shutdown()
    out.write_text(json.dumps(summary(predictions, latencies), indent=1))


def summary(predictions: list[PointCloud2], latencies: list[list[float]]) -> dict:
    """Median, 95th percentile and worst of each stage in seconds; what the last forecast held."""
    last = from_cloud(predictions[-1])
    table = np.array(latencies)[2:]  # The first forecasts pay for warming up.
    stages = ("voxelize", "model", "sweep to forecast")
    return {
        "forecasts": len(predictions),
        "points_per_forecast": len(last),
        "horizons_s": sorted(float(h) for h in np.unique(last["horizon"])),
        "latency_s": {
            name: {
                "p50": float(np.percentile(column, 50)),
                "p95": float(np.percentile(column, 95)),
                "max": float(column.max()),
            }
            for name, column in zip(stages, table.T, strict=True)
        },
    }
