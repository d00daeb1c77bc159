"""What a run writes down as it goes: a log file, curves as CSV and in TensorBoard, and pictures."""

from __future__ import annotations

import csv
import logging
from dataclasses import fields
from datetime import datetime
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from occworld.dataset import GazeboOccWorldDataset
from occworld.evaluator import Evaluation
from occworld.forecast_model import ForecastModel
from occworld.losses import Losses
from occworld.picture import beside
from occworld.scene import Scene
from occworld.throughput import peak_memory_gb

log = logging.getLogger("occworld")


class Curves:
    """Named numbers by step: in TensorBoard, and as rows `step, name, value` of curves.csv, which a resumed run goes on
    with."""

    def __init__(self, work_dir: Path) -> None:
        self.board = SummaryWriter(str(work_dir / "logs"))
        path = work_dir / "curves.csv"
        begun = path.is_file() and path.stat().st_size > 0
        self._file = open(path, "a", newline="")
        self._rows = csv.writer(self._file)
        if not begun:
            self._rows.writerow(("step", "name", "value"))

    def add(self, name: str, value: float, step: int) -> None:
        """One point of a curve."""
        self.board.add_scalar(name, value, step)
        self._rows.writerow((step, name, value))

    def flush(self) -> None:
        """A run that is killed leaves what it has said."""
        self._file.flush()

    def close(self) -> None:
        """Flush both."""
        self.board.close()
        self._file.close()


class Logbook:
    """Of one run, in its work folder; silent on every process but the first."""

    def __init__(self, work_dir: Path, writes: bool) -> None:
        self.curves = Curves(work_dir) if writes else None
        self._handler: logging.Handler = logging.NullHandler()
        if writes:
            self._handler = logging.FileHandler(work_dir / f"train_{datetime.now():%Y%m%d_%H%M%S}.log")
            self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(self._handler)
        log.setLevel(logging.INFO if writes else logging.WARNING)

    def close(self) -> None:
        """Flush both."""
        log.removeHandler(self._handler)
        self._handler.close()
        if self.curves is not None:
            self.curves.close()

    def losses(self, losses: Losses, stage: int, rate: float, samples_per_s: float, step: int) -> None:
        """Every loss, the codebook's use and perplexity, learning rate, throughput and memory."""
        if self.curves is None:
            return
        for item in fields(losses):
            value = float(torch.as_tensor(getattr(losses, item.name)).detach())
            self.curves.add(f"stage{stage}/{item.name}", value, step)
        self.curves.add("learning_rate", rate, step)
        self.curves.add("samples_per_s", samples_per_s, step)
        self.curves.add("peak_memory_gb", peak_memory_gb(), step)
        self.curves.flush()

    def evaluation(self, evaluation: Evaluation, epoch: int, step: int) -> None:
        """IoU and mIoU per horizon, IoU per class, and a line in the log."""
        rows = evaluation.scores["forecast"]
        ours, theirs = ([100 * r.iou for r in evaluation.scores[m]] for m in ("forecast", "warp"))
        table = ", ".join(f"{a:.1f} ({b:.1f})" for a, b in zip(ours, theirs, strict=True))
        log.info("epoch %d: IoU %% by horizon (warp): %s", epoch, table)
        if self.curves is None:
            return
        for row in rows:
            self.curves.add(f"val/iou_{row.horizon_s:g}s", row.iou, step)
            self.curves.add(f"val/miou_{row.horizon_s:g}s", row.miou, step)
            for name, value in row.per_class.items():
                self.curves.add(f"val_class_{row.horizon_s:g}s/{name}", value, step)
        self.curves.flush()

    def picture(self, model: ForecastModel, data: GazeboOccWorldDataset, step: int) -> None:
        """Truth beside forecast of the middle window. Model in eval mode."""
        if self.curves is None:
            return
        window = data[len(data) // 2]
        result = model.forecast(Scene.of(model.grid, window, model.config.condition == "poses"))
        truth = [frame.dense(model.grid.shape) for frame in window.future]
        picture = beside(truth, [frame.classes for frame in result.frames])
        self.curves.board.add_image("truth above, forecast below", picture, step, dataformats="HWC")
