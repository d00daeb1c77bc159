"""What a session holds, in numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occ_core.classes import NAMES, NUM_CLASSES
from occ_core.progress import Steps
from occ_core.session import Session
from occ_core.session_log import Event, EventKind
from occ_core.threads import thread_count


@dataclass(frozen=True)
class Description:
    """duration: seconds, first to last frame. distance: metres driven or flown. size: bytes on disk.

    class_counts: (classes,) int64, voxels of each class over all frames. observed: share of the grids that LiDAR saw.
    """

    name: str
    agent: str
    frames: int
    duration: float
    distance: float
    size: int
    cameras: int
    occupancy: str
    class_counts: np.ndarray
    observed: float
    events: tuple[Event, ...]
    suspect: str = ""

    def lines(self) -> list[str]:
        """For a terminal."""
        marks = sum(event.kind is EventKind.MARK for event in self.events)
        dropped = sum(event.kind is EventKind.DROPPED for event in self.events)
        head = (
            f"{self.name}: {self.frames} frames, {self.duration:.1f} s, {self.distance:.0f} m, "
            f"{self.size / 1e6:.1f} MB, {self.cameras} cameras, occupancy {self.occupancy}, "
            f"{100 * self.observed:.1f}% observed"
        )
        extra = [f"{n} {what}" for n, what in ((marks, "marks"), (dropped, "dropped frames")) if n]
        extra += [f"suspect ({self.suspect})"] if self.suspect else []
        return [", ".join([head, *extra]), f"  {histogram(self.class_counts)}"]


def histogram(counts: np.ndarray) -> str:
    """Share of each class among the occupied voxels, the largest first. counts: (classes,) int."""
    occupied = np.where(np.arange(len(counts)) > 0, counts, 0)
    total = occupied.sum()
    if not total:
        return "all empty"
    order = [int(i) for i in np.argsort(-occupied, kind="stable") if occupied[i]]
    return ", ".join(f"{NAMES[i]} {100 * occupied[i] / total:.3g}%" for i in order)


def _frame(session: Session, number: int) -> tuple[np.ndarray, float]:
    """Voxels of each class, (classes,) int64, and the share of voxels that LiDAR has seen."""
    grids = session.occupancy(number)
    occupied = grids.classes[grids.classes > 0]
    counts = np.bincount(occupied, minlength=NUM_CLASSES)[:NUM_CLASSES]
    counts[0] = grids.classes.size - len(occupied)
    return counts, float(grids.observed.mean())


def describe(folder: Path) -> Description:
    """Read a session; SessionError for one that can't be opened or has damaged frames."""
    session = Session.open(folder)
    states = [session.state(number) for number in session.numbers]
    path = np.array([state.base_link.position for state in states]).reshape(-1, 3)
    counts, observed = np.zeros(NUM_CLASSES, np.int64), 0.0
    with ThreadPoolExecutor(thread_count()) as pool:  # to inflate a file lets go of the interpreter
        frames = pool.map(lambda number: _frame(session, number), session.numbers)
        for classes, seen in Steps(frames, session.name, len(session), unit="frame", leave=False):
            counts += classes
            observed += seen / len(session)
    return Description(
        name=session.name,
        agent=session.info.agent,
        frames=len(session),
        duration=states[-1].stamp - states[0].stamp if states else 0.0,
        distance=float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum()),
        size=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        cameras=len({file.name[7:] for file in (folder / "images").glob("*.jpg")}),
        occupancy=session.info.occupancy,
        class_counts=counts,
        observed=observed,
        events=tuple(session.events()),
        suspect=session.info.suspect,
    )
