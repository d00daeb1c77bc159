"""What snapshot the page shows as time goes by: the newest of a live run, or a recording at its pace."""

from __future__ import annotations

import time
from functools import partial
from threading import Event, Thread

import numpy as np

from occ_core.classes import DYNAMIC_IDS
from occworld_infer.viewer.controls import Choice, Colouring
from occworld_infer.viewer.page import Page, graded_horizon
from occworld_infer.viewer.snapshot import Snapshot
from occworld_infer.viewer.timeline import Timeline

_TICK_S = 0.05
OPENING_S = 1.0
"""How long ago the forecast was made that the page opens with, beside what came."""
_PATIENCE_S = 5.0  # with robots whose forecasts come later than another's
_OLDEST_FORECAST_S = 2.0  # a model slower than this has nothing to say of now
_OLDEST_COMPARISON_S = 20.0  # of a live run whose model skips most
_FRESH_S = 0.75  # what is older was seen, and is not seen now: keyframes are half a second apart


class Player:
    """Shows a timeline on a page until it is closed. live: keep to the newest snapshot while it plays."""

    def __init__(self, timeline: Timeline, page: Page, robots: tuple[str, ...], live: bool = False) -> None:
        self._timeline, self._page, self._robots, self._live = timeline, page, robots, live
        self._at: float | None = None
        self._opened, self._waited = False, 0.0
        self._stop = Event()
        self._thread = Thread(target=self._run, name="page", daemon=True)

    def start(self) -> None:
        """Play on a thread of its own."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False where its thread has ended with an error, which it has printed."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop the thread and the page."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        self._page.close()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(_TICK_S):
            now = time.monotonic()
            self.tick(now - last)
            last = now

    def tick(self, seconds: float) -> None:
        """Let so many seconds of wall clock pass."""
        if not self._opened:
            self._open(seconds)
        controls = self._page.controls
        choice = controls.choice
        span = self._timeline.span(choice.robot)
        if span is None:
            controls.tell(status=f"waiting for {choice.robot}")
            return
        at = self._next(span, seconds)
        last = self._timeline.before(choice.robot, at)
        assert last is not None, "there is a span"
        snapshot, made = self._shown(choice, last)
        self._at = at
        controls.tell_time(at - span[0], span[1] - span[0])
        since = last.stamp - snapshot.stamp
        live_now = self._live and controls.playing and since < _FRESH_S
        newest = self._timeline.newest(choice.robot) if live_now else None
        ious = partial(self._timeline.ious, choice.robot, graded_horizon(choice), at)
        self._page.draw(snapshot, made, newest, ious, since if since >= _FRESH_S else 0.0)
        # Where nothing was forecast of now, the robots stand where they were when something was.
        shown_at = at if since < _FRESH_S else snapshot.stamp
        self._place(shown_at, float(snapshot.occupancy.frame.position[2]), live_now)

    def _shown(self, choice: Choice, snapshot: Snapshot) -> tuple[Snapshot, Snapshot | None]:
        """What to show where this snapshot is the last: it or an older one, and the one whose forecast goes with it."""
        if not choice.colouring.compares:
            return snapshot, self._timeline.forecast_before(choice.robot, snapshot.stamp, _OLDEST_FORECAST_S)
        if choice.ahead == 0:
            return snapshot, self._timeline.exactly(choice.robot, snapshot.stamp)
        age = _OLDEST_COMPARISON_S if self._live else 0.0
        return self._timeline.compared(choice.robot, snapshot.stamp, choice.ahead, age) or (snapshot, None)

    def _open(self, seconds: float) -> None:
        """Begin with a forecast beside what came, of the robot with most to see, unless somebody has chosen already.

        That is the one about which most moves, and where nothing does, that sees most voxels.
        """
        if self._page.controls.touched:
            self._opened = True
            return
        comparable: dict[str, tuple[int, int]] = {}
        for robot in self._robots:
            if (span := self._timeline.span(robot)) is None:
                continue
            pair = self._timeline.compared(robot, span[1], OPENING_S, _OLDEST_COMPARISON_S)
            if pair is not None:
                labels = pair[0].occupancy.labels
                comparable[robot] = int(np.isin(labels, DYNAMIC_IDS).sum()), len(labels)
        self._waited += seconds if comparable else 0.0
        if comparable and (len(comparable) == len(self._robots) or self._waited > _PATIENCE_S):
            self._opened = True
            most = max(comparable, key=lambda robot: comparable[robot])
            self._page.controls.choose(most, OPENING_S, Colouring.BESIDE)

    def _place(self, at: float, ground: float, live_now: bool) -> None:
        """Robots where they are at that time, or now. ground: height under the one that is looked at, metres."""
        for robot in self._robots:
            tracked = self._timeline.newest(robot) if live_now else None
            pose = tracked.base_link if tracked else self._timeline.pose(robot, at)
            if pose is not None:
                self._page.place(robot, pose, ground)

    def _next(self, span: tuple[float, float], seconds: float) -> float:
        controls, (first, last) = self._page.controls, span
        if (sought := controls.sought()) is not None:
            return min(first + sought, last)
        if self._live and controls.playing:
            return last
        if self._at is None:
            return first
        at = self._at + (controls.speed * seconds if controls.playing else 0.0)
        if at > last and self._timeline.complete:
            return first
        return min(max(at, first), last)
