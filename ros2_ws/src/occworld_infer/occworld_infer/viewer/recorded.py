"""A recording on the page: read and forecast ahead on one thread, played on another."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from threading import Thread

from occ_core.citymap import CityMap
from occ_core.session import SessionError
from occworld_infer.viewer.page import Page
from occworld_infer.viewer.player import Player
from occworld_infer.viewer.snapshot import Snapshot
from occworld_infer.viewer.timeline import Timeline

MOST_MOMENTS = 1200
"""Of each robot: ten minutes. With forecasts a snapshot takes about a megabyte."""


class RecordedView:
    """Serves a recording. snapshots: read to its end, or to `MOST_MOMENTS` of each robot. Use as a context manager.

    problem: the sentence that reading ended with, '' where all went well.
    """

    def __init__(self, snapshots: Iterable[Snapshot], robots: tuple[str, ...], city: CityMap | None, port: int) -> None:
        self._moments = snapshots
        self.timeline = Timeline(MOST_MOMENTS, keep_first=True)
        self.page = Page(port, robots, city)
        self.problem = ""
        self._player = Player(self.timeline, self.page, robots)
        self._running = True
        self._reader = Thread(target=self._read, name="reader", daemon=True)

    def _read(self) -> None:
        try:
            for snapshot in self._moments:
                self.timeline.add(snapshot)
                if not self._running or self.timeline.refused:
                    break
        except (SessionError, ValueError, OSError) as error:
            self.problem = str(error)
            print(f"tokyo: {error}; what was read until there is shown", file=sys.stderr)
        if self.timeline.refused:
            print(f"tokyo: the first {MOST_MOMENTS} frames are shown, the recording goes on", file=sys.stderr)
        self.timeline.complete = True

    def __enter__(self) -> RecordedView:
        self._reader.start()
        self._player.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running = False
        self._player.close()
        self._reader.join()  # it ends after the frame in hand; a process must not end in the middle of a forecast

    def read_until(self, seconds: float) -> None:
        """Block until the recording is read that far. ValueError where it ends before."""
        while True:
            done, span = self.timeline.complete, self.timeline.span(self.page.controls.choice.robot)
            if span is not None and span[1] - span[0] >= seconds:
                return
            if done:
                has = span[1] - span[0] if span is not None else 0.0
                raise ValueError(f"the recording has {has:.1f} s, there is no time {seconds:.1f} s in it")
            time.sleep(0.1)

    def wait(self) -> None:
        """Serve until Ctrl-C."""
        while True:
            time.sleep(0.5)
