"""The shipped model's forecasts of six frames on recorded drives: wall and CPU time, and memory of the process."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.live import checkpoint_in, resident
from occ_core.session import Session
from occ_core.sparse_grid import SparseGrid
from occworld.forecaster import Forecaster, ObservedPast
from tokyo_occworld.collecting import Collection, collect

_FRAMES = 24
_EVERY = 2


def pasts(session: Session, history: int) -> list[ObservedPast]:
    """What forecasts of a session start from."""
    chosen = [range(n - history + 1, n + 1) for n in session.numbers[history - 1 :: _EVERY]]
    return [
        ObservedPast(
            tuple(SparseGrid.from_dense(session.classes(n)) for n in numbers),
            tuple(session.state(n) for n in numbers),
        )
        for numbers in chosen
    ]


def row(session: Session, forecaster: Forecaster) -> str:
    """Of the table: medians over all but the first."""
    wall, cpu = [], []
    for past in pasts(session, forecaster.history):
        began, spent = time.perf_counter(), time.process_time()
        for _ in forecaster.batch([past]):
            pass
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - spent)
    times = " | ".join(f"{1e3 * np.median(values[1:]):.0f} ms" for values in (wall, cpu))
    return f"| {session.info.agent} | {times} | {resident(os.getpid()) / 2**20:.0f} MiB |"


def run(udx: Path, city: Path) -> str:
    """The table. udx: the sample city's CityGML; city: the same imported."""
    with tempfile.TemporaryDirectory() as folder:
        path, which = checkpoint_in(Path(folder))
        forecaster = Forecaster.load(path)
        forecaster.warm_up()
        recorded = collect(city, Path(folder) / "drives", Collection(sessions=2, frames=_FRAMES, seed=3))
        lines = [f"| forecast of six frames ({which}) | wall | CPU | memory |", "|---" * 4 + "|"]
        return "\n".join([*lines, *(row(Session.open(drive.folder), forecaster) for drive in recorded)])
