"""Two-stage training on Lightning Fabric: tokenizer first, then forecasts."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from occworld.budget import Budget, learning_rate
from occworld.checkpoint import Checkpoint, Progress, build_model
from occworld.config import Config
from occworld.dataset import GazeboOccWorldDataset
from occworld.evaluator import Evaluation, evaluate
from occworld.model.losses import class_weights
from occworld.model.objective import Batch, Losses, Objective
from occworld.report import write_json

log = logging.getLogger("occworld")


class TrainingError(Exception):
    """Training that can't go on: which batch, and why."""


class Trainer:
    """Owns the model, its optimizer and the work folder of one run."""

    def __init__(self, config: Config, work_dir: Path, resume: Checkpoint | None = None) -> None:
        self.config, self.work_dir = config, Path(work_dir)
        self.work_dir.mkdir(parents=True, exist_ok=True)
        precision = "16-mixed" if config.training.fp16 and torch.cuda.is_available() else "32-true"
        self.fabric = Fabric(accelerator="auto", devices="auto", precision=precision)
        self.fabric.launch()
        torch.manual_seed(config.training.seed)
        self.train_data = GazeboOccWorldDataset(config.data_root, replace(config.data, split="train"))
        self.val_data = GazeboOccWorldDataset(config.data_root, replace(config.data, split="val"))
        self.model = build_model(config)
        self.progress = Progress()
        if resume is not None:
            self.model.load_state_dict(resume.weights)
            self.progress = resume.progress
        objective = Objective(self.model, config.training, class_weights(self.train_data.class_counts()))
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.optimizer.lr, weight_decay=config.optimizer.weight_decay
        )
        if resume is not None and resume.optimizer is not None:
            optimizer.load_state_dict(resume.optimizer)
            torch.set_rng_state(resume.random)
        self.objective, self.optimizer = self.fabric.setup(objective, optimizer)
        self._log_to_file()
        self.writer = SummaryWriter(str(self.work_dir / "logs"))

    def _log_to_file(self) -> None:
        handler = logging.FileHandler(self.work_dir / f"train_{datetime.now():%Y%m%d_%H%M%S}.log")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)

    def fit(self, max_minutes: float | None = None) -> Evaluation | None:
        """Both stages; the last evaluation, None where Ctrl-C came before one."""
        training = self.config.training
        seconds = None if max_minutes is None else 60 * max_minutes
        log.info("%d windows to train on, %d to validate on", len(self.train_data), len(self.val_data))
        started, evaluation = time.monotonic(), None
        try:
            share = None if seconds is None else seconds * training.tokenizer_share
            self._stage(1, training.tokenizer_epochs, share)
            left = None if seconds is None else seconds - (time.monotonic() - started)
            evaluation = self._stage(2, training.max_epochs, left)
        except KeyboardInterrupt:
            self._save(self.work_dir / "interrupted.pth")
            log.info("interrupted; continue with --resume")
        finally:
            self.writer.close()
        return evaluation

    def _stage(self, stage: int, epochs: int, seconds: float | None) -> Evaluation | None:
        done = self.progress.stage1 if stage == 1 else self.progress.stage2
        if stage == 1 and self.progress.stage2:
            return None
        self._freeze(stage)
        evaluation = None
        steps = math.ceil(len(self.train_data) / self.config.training.batch_size)
        budget = Budget(epochs * steps, seconds)
        for epoch in range(done, epochs):
            self._epoch(stage, epoch, steps, budget)
            name = "stage1" if stage == 1 else "stage2"
            self.progress = replace(self.progress, **{name: epoch + 1})
            last = epoch + 1 == epochs or budget.spent()
            if stage == 2 and (last or (epoch + 1) % self.config.training.evaluation_interval == 0):
                evaluation = self._evaluate(epoch)
            if self.fabric.is_global_zero:
                label = f"tokenizer_{epoch + 1}" if stage == 1 else f"epoch_{epoch + 1}"
                self._save(self.work_dir / f"{label}.pth")
            if last:
                break
        return evaluation

    def _freeze(self, stage: int) -> None:
        training, model = self.config.training, self.model
        model.requires_grad_(True)
        if stage == 2:
            model.tokenizer.requires_grad_(not training.freeze_vae)
            model.transformer.requires_grad_(not training.freeze_transformer)
            model.pose_encoder.requires_grad_(not training.freeze_pose)
            model.pose_decoder.requires_grad_(not training.freeze_pose)

    def _epoch(self, stage: int, epoch: int, steps: int, budget: Budget) -> None:
        training = self.config.training
        self.objective.train()
        if stage == 2 and training.freeze_vae:
            self.model.tokenizer.eval()
        # The order depends on seed, stage and epoch alone, so that a resumed run sees what an unbroken one would.
        generator = torch.Generator().manual_seed(training.seed * 1_000_003 + stage * 10_007 + epoch)
        loader = DataLoader(
            self.train_data, batch_size=training.batch_size, shuffle=True, collate_fn=Batch, generator=generator,
            num_workers=training.num_workers,
        )  # fmt: skip
        loader = self.fabric.setup_dataloaders(loader)
        bar = tqdm(loader, desc=f"{'tokenizer' if stage == 1 else 'forecast'} {epoch + 1}", unit="step")
        for i, batch in enumerate(bar):
            step = epoch * steps + i
            rate = learning_rate(self.config.optimizer, self.config.lr_config, step, budget.fraction(step))
            losses = self._step(batch, stage, rate)
            bar.set_postfix(loss=f"{losses.total.item():.3f}", lr=f"{rate:.1e}", refresh=False)
            self.progress = replace(self.progress, step=self.progress.step + 1)
            if self.progress.step % 10 == 0:
                self._log_losses(losses, stage, rate)
            if budget.spent():
                break
        bar.close()
        log.info("stage %d epoch %d: loss %.4f", stage, epoch + 1, losses.total.item())

    def _step(self, batch: Batch, stage: int, rate: float) -> Losses:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses = self.objective(batch, stage)
        if not torch.isfinite(losses.total):
            raise TrainingError(f"loss is {losses.total.item()} in stage {stage} on {batch.label}")
        self.optimizer.zero_grad()
        self.fabric.backward(losses.total)
        self.fabric.clip_gradients(
            self.objective, self.optimizer, max_norm=self.config.optimizer.grad_clip, error_if_nonfinite=False
        )
        self.optimizer.step()
        return losses

    def _log_losses(self, losses: Losses, stage: int, rate: float) -> None:
        for item in fields(losses):
            self.writer.add_scalar(
                f"stage{stage}/{item.name}",
                float(torch.as_tensor(getattr(losses, item.name)).detach()),
                self.progress.step,
            )
        self.writer.add_scalar("learning_rate", rate, self.progress.step)

    def _evaluate(self, epoch: int) -> Evaluation:
        evaluation = evaluate(self.model, self.val_data, self.config.training.evaluation_windows)
        for row in evaluation.scores["forecast"]:
            self.writer.add_scalar(f"val/iou_{row.horizon_s:g}s", row.iou, self.progress.step)
            self.writer.add_scalar(f"val/miou_{row.horizon_s:g}s", row.miou, self.progress.step)
        for name, value in evaluation.scores["forecast"][-1].per_class.items():
            self.writer.add_scalar(f"val_class/{name}", value, self.progress.step)
        ours, theirs = ([100 * r.iou for r in evaluation.scores[m]] for m in ("forecast", "warp"))
        table = ", ".join(f"{a:.1f} ({b:.1f})" for a, b in zip(ours, theirs, strict=True))
        log.info("epoch %d: IoU %% by horizon (warp): %s", epoch + 1, table)
        write_json(evaluation, self.work_dir / "metrics.json")
        if evaluation.quality > self.progress.best:
            self.progress = replace(self.progress, best=evaluation.quality)
            self._save(self.work_dir / "best.pth", bare=True)
        return evaluation

    def _save(self, path: Path, bare: bool = False) -> None:
        weights = {k: v.detach().cpu() for k, v in self.model.state_dict().items()}
        optimizer = None if bare else self.optimizer.state_dict()
        Checkpoint(self.config, weights, self.progress, optimizer, None if bare else torch.get_rng_state()).save(path)
