"""Recorded sessions as snapshots."""

from __future__ import annotations

from collections.abc import Iterator

from occ_core.frame import Frame
from occ_core.session import Session
from occ_core.topics import CAMERAS
from occworld.forecaster import Forecaster
from occworld_infer.viewer.snapshot import Snapshot
from occworld_infer.viewer.snapshot_builder import SnapshotBuilder


def session_snapshots(sessions: list[Session], forecaster: Forecaster | None) -> Iterator[Snapshot]:
    """The frames of one session per robot, all in the order of their stamps. SessionError for a damaged frame."""
    makers = {s.folder: SnapshotBuilder(s.info.agent, s.info.grid, s.info.frame_period, forecaster) for s in sessions}
    todo = [(s.state(number).stamp, s.info.agent, s, number) for s in sessions for number in s.numbers]
    for _, _, session, number in sorted(todo, key=lambda entry: entry[:2]):
        frame = Frame(session.state(number), session.points(number), session.occupancy(number))
        paths = {camera: session.image_path(number, channel) for camera, channel in CAMERAS.items()}
        images = {camera: path.read_bytes() for camera, path in paths.items() if path.exists()}
        yield makers[session.folder].add(frame, images=images)
