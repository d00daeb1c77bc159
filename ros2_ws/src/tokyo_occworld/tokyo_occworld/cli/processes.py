"""Nodes as processes: what `ros2 launch` does, where only the pip wheels of ROS 2 are installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import yaml

from occ_core.children import Reaper, ending_with_parent, interrupts_held, stop_sessions
from occ_core.command_line import raise_if_interrupted
from occ_ros.start import HOLD
from tokyo_sim.bringup import Arguments, NodeSpec, environment, nodes, world_file
from tokyo_sim.gazebo.installation import Server, installed_executable, require_gazebo, server
from tokyo_sim.load import refuse_too_many

_GRACE_S = 20.0
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


class NodeProcesses:
    """Starts nodes and owns them: leaving the context stops every one, the recorder with its queue written.

    They stop, too, when this process is killed, with all that they have started. log: file that their output goes to;
    this process's own output by default. domain: of ROS; None for what the environment says. held: nodes of ours load
    what they need, and nobody hears of them, until `release`.
    """

    def __init__(
        self,
        specs: Sequence[NodeSpec | Server],
        log: Path | None = None,
        domain: int | None = None,
        held: bool = False,
    ) -> None:
        self._specs, self._log = specs, log
        self._settings = {} if domain is None else {"ROS_DOMAIN_ID": str(domain)}
        self._hold = os.pipe() if held else ()
        if self._hold:
            self._settings[HOLD] = str(self._hold[0])
        self._folder = tempfile.TemporaryDirectory(prefix="tokyo_")
        self._running: list[tuple[NodeSpec | Server, subprocess.Popen]] = []

    def __enter__(self) -> NodeProcesses:
        output = open(self._log, "ab") if self._log else None
        self._reaper = Reaper(_GRACE_S)
        self._reaper.keep(self._folder.name)
        try:
            for number, spec in enumerate(self._specs):
                ours = isinstance(spec, NodeSpec) and bool(spec.module)
                # A session of its own: Ctrl-C reaches this process alone, which then stops the others in order.
                with interrupts_held():
                    process = subprocess.Popen(
                        self._command(number, spec),
                        start_new_session=True,
                        preexec_fn=_prepared(ours),
                        stdout=output,
                        stderr=output,
                        env=node_environment(isinstance(spec, NodeSpec) and spec.bulky) | self._settings,
                        pass_fds=self._hold[:1],
                    )
                    self._running.append((spec, process))
                    self._reaper.mind(process.pid)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        finally:
            if output:
                output.close()
        return self

    def _command(self, number: int, spec: NodeSpec | Server) -> list[str]:
        if isinstance(spec, Server):
            return list(spec.command)
        pairs = {"__node": spec.name} | ({"__ns": f"/{spec.namespace}"} if spec.namespace else {}) | spec.remappings
        remaps = [part for name, value in pairs.items() for part in ("-r", f"{name}:={value}")]
        path = Path(self._folder.name) / f"{number}_{spec.name}.yaml"
        path.write_text(yaml.safe_dump({"/**": {"ros__parameters": spec.parameters}}))
        ours = [sys.executable, "-m", "occ_ros.start", spec.module]
        program = ours if spec.module else [str(installed_executable(spec.package, spec.executable))]
        return [*program, *spec.arguments, "--ros-args", *remaps, "--params-file", str(path)]

    def release(self) -> None:
        """Let held nodes begin."""
        for end in self._hold:
            os.close(end)
        self._hold = ()

    def failed(self) -> str:
        """The first node that has ended and should not have, in words; '' while all is well."""
        for spec, process in self._running:
            code = process.poll()
            if code is not None and not ((spec.once or spec.ends_all) and code == 0):
                how = (
                    f"was killed by {signal.Signals(-code).name}" if code < 0 else f"has stopped with exit code {code}"
                )
                return f"{spec.label} {how}"
        return ""

    def done(self) -> bool:
        """Has a node that ends all done its work?"""
        return any(spec.ends_all and process.poll() == 0 for spec, process in self._running)

    def wait(self, until: Callable[[], bool] = lambda: False, meanwhile: Callable[[], None] = lambda: None) -> int:
        """Block until a node ends, all is done, a condition holds or Ctrl-C; returns the exit code of the whole.

        meanwhile: called ten times a second.
        """
        with terminate_as_interrupt():
            try:
                while not until() and not self.done():
                    raise_if_interrupted()
                    if problem := self.failed():
                        print(f"tokyo: {problem}, the others are stopped too", file=sys.stderr)
                        return 1
                    meanwhile()
                    time.sleep(0.1)
            except KeyboardInterrupt:
                pass
        return 0

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Newest first: the simulator stops last, so that nobody loses the clock while writing.
        patience = _GRACE_S
        for _, process in reversed(self._running):
            try:
                _stop(process, patience)
            except KeyboardInterrupt:  # a second Ctrl-C: no more waiting
                patience = 0.0
                _stop(process, patience)
            self._reaper.release(process.pid)
        self.release()
        self._folder.cleanup()
        self._reaper.close()


def _prepared(ours: bool) -> Callable[[], None] | None:
    """What a child does before its program starts: it ends with this process.

    ours: a node of ours, for which an interrupt waits until `occ_ros.start` looks after it, and prints no trace.
    """
    ending = ending_with_parent()
    if not ours:
        return ending

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        if ending is not None:
            ending()

    return prepare


def node_environment(bulky: bool = False) -> dict[str, str]:
    """This environment, and what a node needs where it does not say. bulky: as of `NodeSpec`."""
    return environment(bulky) | dict(os.environ)


def _stop(process: subprocess.Popen, patience: float) -> None:
    """With all that it has started. patience: seconds after each of SIGINT and SIGTERM."""
    stop_sessions([process.pid], patience, process.poll)
    process.wait()


class terminate_as_interrupt:
    """SIGTERM, and the end of the terminal, raise KeyboardInterrupt within the context: all stop everything alike."""

    def __enter__(self) -> None:
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):
            handler = signal.default_int_handler
        self._before = {number: signal.signal(number, handler) for number in _ENDINGS}

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)


def run_until_stopped(args: Arguments, domain: str = "") -> int:
    """`tokyo up`. domain: ROS domain, as `domain.own_domain` takes it.

    The embedded simulator ends with its duration, Gazebo's clock is watched from here.
    """
    world_file(args.city)
    refuse_too_many(args)
    from occ_ros.domain import own_domain, refuse_others
    from tokyo_occworld.cli.status import StatusLine, greeting

    # Our own nodes load while it is looked who else is there; Gazebo's processes can't be held back.
    held = args.simulator != "gazebo" and domain != "auto"
    with (
        tempfile.TemporaryDirectory(prefix="tokyo_gazebo_") as folder,
        own_domain(domain, args.robots, look=not held) as number,
        NodeProcesses(_specs(args, Path(folder)), held=held) as up,
    ):
        if held:
            refuse_others(number, args.robots)
            up.release()
        if domain:
            print(f"tokyo: ROS domain {number}; elsewhere: export ROS_DOMAIN_ID={number}", flush=True)
        print(greeting(args), flush=True)
        with StatusLine(args) as line:
            if args.simulator != "gazebo" or args.duration <= 0:
                return up.wait(meanwhile=line.say)
            from tokyo_occworld.cli.clock import SimulatedTime

            with SimulatedTime() as clock:
                return up.wait(lambda: clock.seconds >= args.duration, line.say)


def _specs(args: Arguments, folder: Path) -> list[NodeSpec | Server]:
    """Everything to start, the simulator first. folder: for files that Gazebo's nodes read."""
    if args.simulator != "gazebo":
        return [*nodes(args)]
    require_gazebo()
    from tokyo_sim.gazebo.system import gazebo_nodes

    return [server(args), *gazebo_nodes(args, folder), *nodes(args)]
