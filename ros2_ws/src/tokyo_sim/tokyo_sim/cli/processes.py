"""Nodes as processes: what `ros2 launch` does, where only the pip wheels of ROS 2 are installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import yaml

from tokyo_sim.bringup import Arguments, NodeSpec, nodes
from tokyo_sim.resources import share

_GRACE_S = 20.0


class NodeProcesses:
    """Starts nodes and owns them: leaving the context stops every one, the recorder with its queue written.

    log: file that their output goes to; this process's own output by default.
    """

    def __init__(self, specs: list[NodeSpec], log: Path | None = None) -> None:
        self._specs, self._log = specs, log
        self._folder = tempfile.TemporaryDirectory(prefix="tokyo_")
        self._running: list[tuple[NodeSpec, subprocess.Popen]] = []

    def __enter__(self) -> NodeProcesses:
        output = open(self._log, "ab") if self._log else None
        try:
            for number, spec in enumerate(self._specs):
                command = self._command(number, spec)
                # A session of its own: Ctrl-C reaches this process alone, which then stops the others in order.
                process = subprocess.Popen(
                    command, start_new_session=True, stdout=output, stderr=output, env=node_environment()
                )
                self._running.append((spec, process))
        finally:
            if output:
                output.close()
        return self

    def _command(self, number: int, spec: NodeSpec) -> list[str]:
        remaps = ["-r", f"__node:={spec.name}"] + (["-r", f"__ns:=/{spec.namespace}"] if spec.namespace else [])
        path = Path(self._folder.name) / f"{number}_{spec.name}.yaml"
        path.write_text(yaml.safe_dump({"/**": {"ros__parameters": spec.parameters}}))
        return [sys.executable, "-m", spec.module, "--ros-args", *remaps, "--params-file", str(path)]

    def failed(self) -> str:
        """The first node that has ended by itself, in words; '' while all run."""
        for spec, process in self._running:
            if process.poll() is not None:
                return f"{spec.namespace}/{spec.name} has stopped with exit code {process.returncode}"
        return ""

    def wait(self, until: Callable[[], bool] = lambda: False) -> int:
        """Block until a node ends, a condition holds or Ctrl-C; returns the exit code of the whole."""
        with _terminate_as_interrupt():
            try:
                while not until():
                    if problem := self.failed():
                        print(f"tokyo: {problem}", file=sys.stderr)
                        return 1
                    time.sleep(0.1)
            except KeyboardInterrupt:
                pass
        return 0

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Newest first: the simulator stops last, so that nobody loses the clock while writing.
        for _, process in reversed(self._running):
            _stop(process)
        self._folder.cleanup()


def node_environment() -> dict[str, str]:
    """This environment, with shared memory large enough for sensor data and threads that do not spin.

    What the user has set stays as it is.
    """
    defaults = {
        "FASTDDS_DEFAULT_PROFILES_FILE": str(share("config", "fastdds.xml")),
        # Waiting threads that spin take the cores from the other nodes.
        "OMP_WAIT_POLICY": "passive",
    }
    return defaults | dict(os.environ)


def _stop(process: subprocess.Popen) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            continue


class _terminate_as_interrupt:
    """SIGTERM raises KeyboardInterrupt within the context, so that both stop everything the same way."""

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGTERM, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)


def run_until_stopped(args: Arguments, duration: float) -> int:
    """`tokyo up`. duration: simulated seconds, 0 for ever."""
    if args.simulator == "gazebo":
        raise ValueError(
            "`tokyo up` runs the embedded engine; for Gazebo: ros2 launch tokyo_sim city.launch.py sim:=gazebo"
        )
    if not Path(args.city).is_dir():
        raise FileNotFoundError(f"no imported city in {args.city}: run `tokyo city` first")
    with NodeProcesses(nodes(args)) as processes:
        if duration <= 0:
            return processes.wait()
        from tokyo_sim.cli.clock import SimulatedTime

        with SimulatedTime() as clock:
            return processes.wait(lambda: clock.seconds >= duration)
