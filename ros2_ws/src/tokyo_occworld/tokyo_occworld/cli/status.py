"""What a run says of itself while it goes on: how fast it is, what was recorded, how good the forecast is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from occ_core.stamps import from_stamp
from occ_core.topics import DIAGNOSTICS, SCORE
from tokyo_sim.bringup import Arguments
from tokyo_sim.load import RIGS

if TYPE_CHECKING:
    from diagnostic_msgs.msg import DiagnosticArray
    from std_msgs.msg import Float32MultiArray

    from occ_ros.guard import GuardedNode
    from occworld_infer.grading import Grade

SAY_EVERY_S = 10.0
_SLOW = 0.7  # simulated seconds a second, below which it is said what helps
_HELPS = "what helps, most first: "


@dataclass
class RunStatus:
    """The newest that was heard. simulated: seconds; factor: of real time. frames, forecasts: by robot.

    grades: by robot, of the furthest horizon that was graded.

    helps: what the simulator says that would make it faster.
    """

    robots: list[str]
    recording: bool = False
    predicting: bool = False
    simulated: float = 0.0
    factor: float | None = None
    helps: str = ""
    frames: dict[str, int] = field(default_factory=dict)
    forecasts: dict[str, int] = field(default_factory=dict)
    grades: dict[str, Grade] = field(default_factory=dict)

    def hear(self, name: str, message: str, values: dict[str, str], stamp: float) -> None:
        """Take a status of /diagnostics."""
        kind, _, robot = name.partition(" ")
        if kind == "simulator":
            self.simulated, self.factor = stamp, float(values.get("real_time_factor", "nan"))
            self.helps = message.partition(_HELPS)[2].partition("; or a smaller")[0]
        elif kind == "recorder" and robot in self.robots:
            self.frames[robot] = int(values.get("frames", 0))
        elif kind == "forecast" and robot in self.robots:
            self.forecasts[robot] = int(values.get("forecasts", 0))

    def line(self) -> str:
        """In words; '' before the simulator is heard."""
        if self.factor is None:
            return ""
        parts = [f"{self.simulated:.0f} s simulated, {self.factor:.2f} x real time"]
        if self.recording:
            parts.append("recorded " + self._each({robot: f"{n} frames" for robot, n in self.frames.items()}))
        if self.predicting:
            parts.append("forecasts " + self._each({robot: self._forecast(robot) for robot in self.forecasts}))
        if self.factor < _SLOW and self.helps:
            parts.append(f"slow: {self.helps}")
        return " · ".join(parts)

    def grade(self, robot: str, grades: Sequence[Grade]) -> None:
        """Take a robot's running grades, nearest horizon first; none at the beginning."""
        if grades:
            self.grades[robot] = grades[-1]

    def _forecast(self, robot: str) -> str:
        count = f"{self.forecasts[robot]}"
        if (grade := self.grades.get(robot)) is None:
            return count
        return f"{count} (IoU {100 * grade.iou:.0f}% {grade.horizon_s:g} s ahead, warp {100 * grade.warp_iou:.0f}%)"

    def _each(self, words: dict[str, str]) -> str:
        return ", ".join(f"{robot} {words.get(robot, 'none yet')}" for robot in self.robots)


def greeting(args: Arguments) -> str:
    """What a run is begun with: images, page, and how it ends."""
    lines = []
    if args.simulator == "embedded" and args.robots and args.camera_rate > 0:
        images = f"images {args.image_width} x {args.image_height}, {args.camera_rate:g} a second"
        if (args.image_width, args.image_height, args.camera_rate) in RIGS[1:]:
            images += ": what this machine carries now; --full-rig for 1600 x 900, 10 a second"
        lines.append(images)
    if args.record and args.robots:
        lines.append(f"recording into {args.output}")
    if args.view and args.robots:
        lines.append(f"the page: http://127.0.0.1:{args.port}")
    lines.append(f"stops after {args.duration:g} s, or on Ctrl-C" if args.duration else "Ctrl-C stops it")
    return "\n".join(f"tokyo: {line}" for line in lines)


class StatusLine:
    """Listens on a thread while the context lasts. status: what was heard. `say` prints a line when one is due."""

    def __init__(self, args: Arguments, every_s: float = SAY_EVERY_S) -> None:
        self.status = RunStatus(args.robots, recording=args.record, predicting=bool(args.predict))
        self._every, self._next, self._last = every_s, time.monotonic() + every_s, ""

    def __enter__(self) -> StatusLine:
        from tokyo_occworld.cli.clock import listening

        self._listening = listening("tokyo_status", self._subscribe)
        self._listening.__enter__()
        return self

    def _subscribe(self, node: GuardedNode) -> None:
        from occ_ros.qos import create_subscription

        create_subscription(node, DIAGNOSTICS, self._on_diagnostics, depth=50)
        if self.status.predicting:
            self._listen_to_grades(node)

    def say(self) -> None:
        """Print the line if it is time, and something is new in it."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._every
        line = self.status.line()
        if line and line != self._last:
            print(f"tokyo: {line}", flush=True)
            self._last = line

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            self.status.hear(status.name, status.message, values, from_stamp(message.header.stamp))

    def _listen_to_grades(self, node: GuardedNode) -> None:
        """From the typed forecasts where there are any, which overlay and page ask for too, else from plain numbers."""
        from rclpy.logging import LoggingSeverity

        from occworld_infer.figures import from_score, grades_of
        from occworld_infer.forecast_message import from_scores
        from occworld_infer.forecast_topics import ForecastTopics

        def plain(robot: str, message: Float32MultiArray) -> None:
            self.status.grade(robot, grades_of(from_score(message)))

        def typed(robot: str, _: float, grades: Sequence[Grade]) -> None:
            self.status.grade(robot, grades)

        node.get_logger().set_level(LoggingSeverity.WARN)  # which it is, the other nodes say
        self._forecasts = [
            ForecastTopics(node, robot, from_scores, partial(typed, robot), {SCORE: partial(plain, robot)})
            for robot in self.status.robots
        ]

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listening.__exit__(kind, error, trace)
