"""A bag as snapshots, by the reader that makes sessions of bags; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from occ_core.citymap import CityMap
from occ_core.grid import FRAME_PERIOD_S
from occ_core.sync import SyncedSweep
from occ_recorder.bags.drive import BagDrive, Conversion, drives, feed
from occ_recorder.bags.plan import RobotPlan
from occ_recorder.bags.reading import Bag, BagError
from occworld.forecaster import Forecaster
from occworld_infer.viewer.snapshot import Snapshot
from occworld_infer.viewer.snapshot_builder import SnapshotBuilder


class BagSnapshots:
    """The robots of a bag, and an iterator over their snapshots. Use as a context manager."""

    def __init__(
        self, path: Path, conversion: Conversion, city: CityMap | None, forecaster: Forecaster | None = None
    ) -> None:
        """ValueError for what is no bag, and for one in which no robot can be followed."""
        self._conversion, self._city, self._forecaster = conversion, city, forecaster
        try:
            self._bag = Bag(path, conversion.config.remap, conversion.config.ros_distro)
        except BagError as error:
            raise ValueError(str(error)) from error
        try:
            self._drives, self.problems = drives(self._bag, conversion, city is not None)
        except BagError as error:
            self._bag.__exit__(None, None, None)
            raise ValueError(f"{path}: {error}") from error
        self.robots = tuple(plan.config.name for plan in self._drives)

    def __iter__(self) -> Iterator[Snapshot]:
        made: list[Snapshot] = []
        robots = [self._robot(plan, made) for plan in self._drives]
        for _ in feed(self._bag, robots):
            yield from made
            made.clear()
        yield from made

    def _robot(self, plan: RobotPlan, made: list[Snapshot]) -> BagDrive:
        builder = SnapshotBuilder(plan.config.name, self._conversion.grid, FRAME_PERIOD_S, self._forecaster)

        def take(sweep: SyncedSweep) -> None:
            frame = drive.tracker.add(sweep)
            if frame is not None:
                made.append(builder.add(frame, tuple(sweep.actors), sweep.images))

        drive = BagDrive(plan, self._bag, self._conversion, self._city, take)
        return drive

    def __enter__(self) -> BagSnapshots:
        return self

    def __exit__(self, *_: object) -> None:
        self._bag.__exit__(None, None, None)
