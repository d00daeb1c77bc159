"""Windows of consecutive frames out of recorded sessions."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from occ_core.classes import NUM_CLASSES
from occ_core.condition import Condition, conditions
from occ_core.session import Session, SessionError, find_sessions
from occ_core.sparse_grid import SparseGrid
from occ_core.threads import thread_count
from occworld import motion as motions
from occworld.config import DatasetConfig
from occworld.packed import PackedSession, open_packed
from occworld.split import agent_type, split_sessions


@dataclass(frozen=True)
class Window:
    """History and future frames of one drive, oldest first.

    frames: sparse occupancy, each in its own `base_footprint`. footprint: (t, 4) x y z yaw in map. pose_13d: (t, 13).
    observed: (t, ceil(voxels / 8)) uint8, bits of what LiDAR has seen. truth: what there was in the future frames,
    where that was recorded too, beside what LiDAR saw of it.
    """

    session: str
    start: int
    history: int
    frames: tuple[SparseGrid, ...]
    footprint: np.ndarray
    pose_13d: np.ndarray
    observed: np.ndarray
    truth: tuple[SparseGrid, ...] | None = None

    @property
    def future(self) -> tuple[SparseGrid, ...]:
        """What is to be forecast: the truth where there is one, else the frames after the history."""
        return self.frames[self.history :] if self.truth is None else self.truth

    @property
    def label(self) -> str:
        """For messages: session and first frame."""
        return f"{self.session} from frame {self.start + 1}"

    @cached_property
    def motion(self) -> np.ndarray:
        """(t, 4): every frame in the current one, the last of the history."""
        return motions.between(self.footprint[self.history - 1], self.footprint)


def bits_at(bits: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """(n,) bool. bits: a row of `Window.observed`. voxels: (n,) flat numbers."""
    return (bits[voxels >> 3] >> (7 - (voxels & 7)) & 1).astype(bool)


def _well(session: PackedSession) -> np.ndarray:
    """(n,) bool: frames of a robot that drives or flies as it should, and sees something."""
    well = [how is Condition.WELL for how in conditions(session.stamps, session.pose_13d)]
    return np.array(well, dtype=bool) & session.observed.any(axis=1)


_USUAL = DatasetConfig()


class GazeboOccWorldDataset(Dataset):
    """Every window of history_frames + future_frames frames that are frame_period apart, by session and start.

    truth_root: folder of sessions of the same drives with other occupancy (`ground_truth`): what is to be forecast is
    taken from them, histories and what LiDAR has seen from data_root. SessionError for a session that has none.
    """

    def __init__(
        self, data_root: str | Path, config: DatasetConfig = _USUAL, truth_root: str | Path | None = None
    ) -> None:
        self.config = config
        with ThreadPoolExecutor(thread_count()) as pool:  # unpacking lets go of the interpreter
            self.sessions: list[PackedSession] = list(pool.map(open_packed, self._chosen(Path(data_root))))
            self.truths: list[PackedSession] | None = None
            if truth_root:
                there = list(pool.map(open_packed, self._on_the_grid(find_sessions(Path(truth_root)))))
                self.truths = _of_the_same_drives(self.sessions, there, Path(truth_root))
        self.windows = [(s, i) for s, session in enumerate(self.sessions) for i in self._starts(session)]
        if not self.windows:
            length = config.history_frames + config.future_frames
            if not config.unwell and any(self._even_starts(session) for session in self.sessions):
                raise SessionError(
                    f"no window in {len(self.sessions)} sessions of {data_root} in which its robot was well: `tokyo"
                    " sessions check` says what was wrong with it; data.unwell = True takes them still"
                )
            raise SessionError(
                f"no window of {length} consecutive frames in {len(self.sessions)} sessions of {data_root}:"
                f" record longer drives (at least {length * config.frame_period:g} s)"
            )

    def _chosen(self, root: Path) -> list[Session]:
        wanted = self.config.agent_type
        sessions = [s for s in find_sessions(root) if wanted in ("both", agent_type(s.info.agent))]
        if not sessions:
            raise SessionError(f"no session of type {wanted} in {root}")
        if not self.config.suspect:
            sessions = _trusted(sessions, root)
        sessions = self._on_the_grid(sessions)
        if self.config.split == "all":
            return sessions
        split = split_sessions(sessions, self.config.val_fraction, self.config.split_seed)
        chosen = {"train": split.train, "val": split.val, "test": split.test}[self.config.split]
        if not chosen:
            raise SessionError(
                f"no drive of {root} is set apart for test: write a split.json with `tokyo sessions split`"
            )
        return list(chosen)

    def _on_the_grid(self, sessions: list[Session]) -> list[Session]:
        """The sessions. SessionError for one of another grid."""
        for session in sessions:
            if session.info.grid != self.config.grid:
                found = session.info.grid
                raise SessionError(
                    f"{session.folder} was recorded on another grid than the config's; to train on it, say"
                    f" point_cloud_range = {[*found.lower, *found.upper]} and voxel_size = {list(found.voxel)}"
                )
        return sessions

    def _even_starts(self, session: PackedSession) -> list[int]:
        length = self.config.history_frames + self.config.future_frames
        even = np.abs(np.diff(session.stamps) - self.config.frame_period) < self.config.frame_period / 4
        return [i for i in range(len(session) - length + 1) if even[i : i + length - 1].all()]

    def _starts(self, session: PackedSession) -> list[int]:
        starts = self._even_starts(session)
        if self.config.unwell:
            return starts
        well, length = _well(session), self.config.history_frames + self.config.future_frames
        return [i for i in starts if well[i : i + length].all()]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Window:
        number, start = self.windows[index]
        session = self.sessions[number]
        span = slice(start, start + self.config.history_frames + self.config.future_frames)
        future = range(start + self.config.history_frames, span.stop)
        return Window(
            session=session.name,
            start=start,
            history=self.config.history_frames,
            frames=tuple(session.frame(i) for i in range(span.start, span.stop)),
            footprint=np.array(session.footprint[span]),
            pose_13d=np.array(session.pose_13d[span]),
            observed=session.observed[span],
            truth=None if self.truths is None else tuple(self.truths[number].frame(i) for i in future),
        )

    def class_counts(self) -> np.ndarray:
        """(classes,) int64: occupied voxels of each class over all sessions, in truth where that is to be forecast."""
        sessions = self.sessions if self.truths is None else self.truths
        return np.sum([session.class_counts for session in sessions], axis=0)[:NUM_CLASSES]


def _of_the_same_drives(sessions: list[PackedSession], truths: list[PackedSession], root: Path) -> list[PackedSession]:
    """For each session the one of the same robot at the same poses at the same times; its name tells nothing."""

    def drive(session: PackedSession) -> tuple[str, bytes, bytes]:
        return session.agent, session.stamps.tobytes(), session.pose_13d.tobytes()

    found = {drive(session): session for session in truths}
    if alone := [session.name for session in sessions if drive(session) not in found]:
        raise SessionError(
            f"{alone[0]} ({len(alone)} in all): no session in {root} is of the same drive; record it again with the"
            " same seed and --occupancy ground_truth"
        )
    return [found[drive(session)] for session in sessions]


def _trusted(sessions: list[Session], root: Path) -> list[Session]:
    """Those that are not marked; who is left out is said once. SessionError where none is left."""
    marked = [session for session in sessions if session.info.suspect]
    if marked:
        why = f"{marked[0].name}: {marked[0].info.suspect}"
        warnings.warn(f"{len(marked)} sessions of {root} are suspect and left out, such as {why}", stacklevel=2)
    if len(marked) == len(sessions):
        raise SessionError(f"every session of {root} is suspect, such as {why}; data.suspect = True takes them still")
    return [session for session in sessions if not session.info.suspect]


class Batch:
    """Windows of one step; a plain class, so that device transfer leaves it alone."""

    def __init__(self, windows: list[Window]) -> None:
        self.windows = windows

    @property
    def label(self) -> str:
        """Which windows, for messages."""
        return ", ".join(window.label for window in self.windows)
