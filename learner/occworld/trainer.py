"""Two-stage training on Lightning Fabric: tokenizer first, then forecasts; on one device or many."""

from __future__ import annotations

import logging
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Subset

from occ_core.progress import Steps
from occworld.budget import Budget, Deadline, learning_rate
from occworld.checkpoint import Checkpoint, TrainingState, build_model, load_weights
from occworld.config import Config, ConfigError, TrainingConfig
from occworld.dataset import Batch, GazeboOccWorldDataset
from occworld.devices import precision, processes
from occworld.evaluator import Evaluation, evaluate
from occworld.logbook import Logbook
from occworld.losses import Losses, class_weights
from occworld.report import write_report
from occworld.throughput import Throughput

log = logging.getLogger("occworld")
CALIBRATED = tuple(f"head.{name}" for name in ("threshold", "gate", "prior_gate", "naming", "named_right", "missed"))
"""Of the fast model: what `calibrate` sets, not training."""


class TrainingError(Exception):
    """Training that can't go on: which batch, and why."""


class Trainer:
    """Owns the model, its optimizer and the work folder of one run."""

    def __init__(
        self,
        config: Config,
        work_dir: Path,
        resume: Checkpoint | None = None,
        gpu_ids: list[int] | None = None,
        former: tuple[Path, ...] = (),
        cpu_cores: int = 0,
    ) -> None:
        """former: files of another run, deleted when the first checkpoint of this one stands. gpu_ids, cpu_cores: a
        process for each, as `devices.processes` starts them."""
        self.config, self.work_dir, self._former = config, Path(work_dir), former
        self.work_dir.mkdir(parents=True, exist_ok=True)
        self.fabric = processes(config.training, gpu_ids, cpu_cores)
        with self._losing_no_process(), self.fabric.rank_zero_first():  # it packs the sessions for all
            self.train_data, self.val_data = (
                GazeboOccWorldDataset(config.data_root, replace(config.data, split=side), config.truth_root)
                for side in ("train", "val")
            )
        torch.manual_seed(config.training.seed)
        self.model, self.progress = build_model(config), TrainingState(processes=self.fabric.world_size)
        loaded = None
        if resume is not None:
            resume.fill(self.model, "the checkpoint to go on from")
            self.progress = _continued(resume, config, self.fabric.world_size)
        elif config.load_from:
            loaded = load_weights(self.model, Path(config.load_from))
        if config.training.recompute:
            self.model.recompute()
        weights = class_weights(self.train_data.class_counts())
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.optimizer.lr, weight_decay=config.optimizer.weight_decay
        )
        self.objective, self.optimizer = self.fabric.setup(self.model.objective(config.training, weights), optimizer)
        # After `setup`, which has moved the weights: the optimizer's state goes where they are.
        if resume is not None and resume.optimizer is not None:
            self.optimizer.load_state_dict(resume.optimizer)
        if resume is not None and resume.scaler:
            self.fabric.strategy.precision.load_state_dict(resume.scaler)
        self._scales_loss = bool(self.fabric.strategy.precision.state_dict())
        self.logbook = Logbook(self.work_dir, self.fabric.is_global_zero)
        self._stop = False
        self._short: list[str] = []  # what there was no time for
        self._saved = time.monotonic()
        used, device = precision(config.training, self.fabric.device.type), self.fabric.device
        many = f", {self.fabric.world_size} processes" if self.fabric.world_size > 1 else ""
        why = "" if used == config.training.precision else ": fp16 is for a GPU"
        log.info("%s on %s%s%s", used, device, many, why)
        if loaded is not None:
            log.info("%s: %s", config.load_from, loaded.report())

    def fit(
        self, max_minutes: float | None = None, started: float | None = None, max_steps: int | None = None
    ) -> Evaluation | None:
        """Both stages; the last evaluation, None where Ctrl-C came before one.

        max_minutes: for all of it, evaluations included, from `started` (time.monotonic; now by default). A run that
        has had no time for what it is made of says so at its end. max_steps: of both stages together, so that what
        comes of it does not depend on the machine's load; half of them at most for the tokenizer.
        """
        training, evaluation = self.config.training, None
        seconds = None if max_minutes is None else 60 * max_minutes
        started = time.monotonic() if started is None else started
        self._deadline = Deadline(seconds, self._most_windows(), started)
        log.info("%d windows to train on, %d to validate on", len(self.train_data), len(self.val_data))
        try:
            with self._stopping_on_signals(), self._losing_no_process():
                if seconds is not None and self._deadline.left > 0 and self.fabric.is_global_zero:
                    self._rehearse()
                share = training.tokenizer_share if training.max_epochs else 1.0
                self._stage(1, training.tokenizer_epochs, share, None if max_steps is None else max_steps // 2)
                first = min(self._steps(1, training.tokenizer_epochs), (max_steps or 0) // 2)
                rest = None if max_steps is None else max_steps - first
                evaluation = self._stage(2, training.max_epochs, 1.0, rest)
            self._say_what_was_short(max_minutes)
        finally:
            self.logbook.close()
        return evaluation

    def _most_windows(self) -> int:
        return min(self.config.evaluation.windows, len(self.val_data))

    def _say_what_was_short(self, max_minutes: float | None) -> None:
        if max_minutes is None or self._stop:
            return
        if self._short:
            log.warning("starved by --max-minutes %g: %s", max_minutes, "; ".join(self._short))
        if self._deadline.left < 0:
            log.warning("it took %.0f s longer than --max-minutes %g", -self._deadline.left, max_minutes)

    @contextmanager
    def _losing_no_process(self) -> Iterator[None]:
        """TrainingError where another process of this run is gone, which the collectives say in their own ways."""
        try:
            yield
        except RuntimeError as error:
            gone = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process exited")
            if self.fabric.world_size == 1 or not any(sign in str(error) for sign in gone):
                raise
            raise TrainingError(
                "another process of this training has ended; what was saved last is whole, continue with --resume"
            ) from error

    @contextmanager
    def _stopping_on_signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the run after the step in hand, so that what is saved is a whole state."""
        names = (signal.SIGINT, signal.SIGTERM)

        def stop(*_: object) -> None:
            self._stop = True

        try:
            before = [signal.signal(name, stop) for name in names]
        except ValueError:  # not the main thread: signals are for others
            yield
            return
        try:
            yield
        finally:
            for name, handler in zip(names, before, strict=True):
                signal.signal(name, handler)

    def _stage(self, stage: int, epochs: int, share: float, most: int | None) -> Evaluation | None:
        """share: of the time that is left for training. most: steps, None for those of the epochs."""
        done = self.progress.stage1 if stage == 1 else self.progress.stage2
        left, stopped = self._agreed(self._deadline.for_training)
        if stopped or (stage == 1 and self.progress.stage2):
            return None
        seconds = None if self._deadline.seconds is None else share * left
        self.model.requires_grad_(True)
        if stage == 2:
            training = self.config.training
            self.model.freeze(training.freeze_vae, training.freeze_transformer, training.freeze_pose)
        evaluation = None
        batches = len(self._order(stage, 0)) // self.config.training.batch_size
        total = self._steps(stage, epochs)
        budget = Budget(total if most is None else min(total, most), seconds)
        for epoch in range(done, epochs):
            if not self._epoch(stage, epoch, batches, budget):
                return None
            spent, _ = self._agreed(float(budget.spent()))
            if spent and epoch == done and (seen := self.progress.batches) < batches:
                self._short.append(f"stage {stage} has seen {seen} of {batches} batches of an epoch")
            name = "stage1" if stage == 1 else "stage2"
            self.progress = replace(self.progress, batches=0, **{name: epoch + 1})
            last = epoch + 1 == epochs or bool(spent)
            due = last or (epoch + 1) % self.config.evaluation.interval == 0
            if stage == 2 and due and (last or self._agreed(float(self._deadline.affords_another))[0]):
                evaluation = self._evaluate(epoch, last)
                # It may have taken the time that was left for more: then it was the last.
                last = last or self._agreed(self._deadline.for_training)[0] <= 0
            if due:
                self._save(self.work_dir / (f"tokenizer_{epoch + 1}.pth" if stage == 1 else f"epoch_{epoch + 1}.pth"))
            if last:
                break
        return evaluation

    def _steps(self, stage: int, epochs: int) -> int:
        """Of the optimizer, in so many epochs."""
        training = self.config.training
        return epochs * (len(self._order(stage, 0)) // training.batch_size) // training.accumulate

    def _order(self, stage: int, epoch: int) -> list[int]:
        """This process's windows: whole steps of the optimizer, as many as every other's; from the seed alone.

        Batches of all processes and those that are accumulated are parts of one larger batch: it has the same windows.
        """
        training, fabric = self.config.training, self.fabric
        seed = training.seed * 1_000_003 + stage * 10_007 + epoch
        order = torch.randperm(len(self.train_data), generator=torch.Generator().manual_seed(seed)).tolist()
        whole = training.batch_size * training.accumulate * fabric.world_size
        order += order[: -len(order) % whole]
        while len(order) % whole:
            order += order[: whole - len(order) % whole]
        return order[fabric.global_rank :: fabric.world_size]

    def _epoch(self, stage: int, epoch: int, batches: int, budget: Budget) -> bool:
        """Returns False where a signal ended it."""
        training, first = self.config.training, self.progress.batches
        self.objective.train()
        if stage == 2 and training.freeze_vae:
            self.model.tokenizer.eval()
        rest = Subset(self.train_data, self._order(stage, epoch)[first * training.batch_size :])
        loader = DataLoader(rest, training.batch_size, collate_fn=Batch, num_workers=training.num_workers)
        name = f"{'tokenizer' if stage == 1 else 'forecast'} {epoch + 1}"
        bar = Steps(
            loader, desc=name, unit="step", total=batches, initial=first, disable=not self.fabric.is_global_zero
        )
        losses, speed = None, Throughput()
        for i, batch in enumerate(bar, first):
            number = epoch * batches + i
            update = number // training.accumulate
            fraction, stopped = self._agreed(budget.fraction(update))
            rate = learning_rate(self.config.optimizer, self.config.lr_config, update, fraction)
            # A resumed run draws what an unbroken one would, whatever was drawn before.
            torch.manual_seed(hash((training.seed, stage, number, self.fabric.global_rank)) % 2**63)
            applied = (i + 1) % training.accumulate == 0
            losses = self._step(batch, stage, rate, applied)
            speed.add(len(batch.windows) * self.fabric.world_size)
            bar.set_postfix(loss=f"{losses.total.item():.3f}", lr=f"{rate:.1e}", refresh=False)
            if not applied:
                continue
            self.progress = replace(self.progress, batches=i + 1, step=self.progress.step + 1)
            if self.progress.step % 10 == 0:
                self.logbook.losses(losses, stage, rate, speed.per_second(), self.progress.step)
            if stopped or (self._stop and self.fabric.world_size == 1):
                self._save(self.work_dir / "latest.pth")
                log.info("interrupted; continue with --resume")
                return False
            if time.monotonic() - self._saved >= 60 * training.checkpoint_minutes:
                self._save(self.work_dir / "latest.pth")
            if budget.stepped(update) or fraction >= 1:
                break
        bar.close()
        if losses is not None:
            log.info("stage %d epoch %d: loss %.4f", stage, epoch + 1, losses.total.item())
        return True

    def _agreed(self, value: float) -> tuple[float, bool]:
        """A number of at least 0, and whether to stop, the same on all processes.

        The first process's clock counts for all, and a signal to any: or some would leave an epoch at another batch
        than the others, which then wait for them for ever.
        """
        if self.fabric.world_size == 1:
            return value, self._stop
        mine = [value if self.fabric.is_global_zero else 0.0, float(self._stop)]
        numbers = torch.tensor(mine, dtype=torch.float32, device=self.fabric.device)
        reduced = self.fabric.all_reduce(numbers, reduce_op="max")
        assert isinstance(reduced, torch.Tensor)  # as what was given
        agreed, stopped = reduced.tolist()
        return agreed, bool(stopped)

    def _step(self, batch: Batch, stage: int, rate: float, applied: bool) -> Losses:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with self.fabric.no_backward_sync(self.objective, enabled=not applied and self.fabric.world_size > 1):
            losses = self.objective(batch, stage)
            if not torch.isfinite(losses.total):
                raise TrainingError(f"loss is {losses.total.item()} in stage {stage} on {batch.label}")
            self.fabric.backward(losses.total / self.config.training.accumulate)
        if applied:
            norm = self.fabric.clip_gradients(
                self.objective, self.optimizer, max_norm=self.config.optimizer.grad_clip, error_if_nonfinite=False
            )
            # An infinite gradient is for the loss scaler, where there is one: it skips the step and scales less.
            if not self._scales_loss and norm is not None and not torch.isfinite(norm):
                raise TrainingError(f"the gradient is {norm.item()} in stage {stage} on {batch.label}")
            self.optimizer.step()
            self.optimizer.zero_grad()
        return losses

    def _evaluate(self, epoch: int, last: bool) -> Evaluation | None:
        """On the first process; the others wait."""
        evaluation = None
        if self.fabric.is_global_zero:
            began, wanted = time.monotonic(), self._most_windows()
            windows = self._deadline.affordable_windows if last else wanted
            if windows < wanted:
                self._short.append(f"the evaluation has looked at {windows} of {wanted} windows")
            evaluation = self._scored(windows)
            scored = time.monotonic()
            self.logbook.evaluation(evaluation, epoch + 1, self.progress.step)
            self.logbook.picture(self.model, self.val_data, self.progress.step)
            write_report(evaluation, self.work_dir)
            self._deadline.measured(windows, scored - began, time.monotonic() - scored)
            if evaluation.quality > self.progress.best:
                self.progress = replace(self.progress, best=evaluation.quality)
                self._save(self.work_dir / "best.pth", bare=True)
        self.fabric.barrier()
        return evaluation

    def _scored(self, windows: int) -> Evaluation:
        self.model.calibrate(self.train_data, windows)
        return evaluate(self.model, self.val_data, windows)

    def _rehearse(self) -> None:
        """An evaluation of one window, twice, since the first compiles: so long will each take at the end."""
        before = {name: value.clone() for name, value in self.model.state_dict().items() if name in CALIBRATED}
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(2):
                began = time.monotonic()
                evaluation = self._scored(1)
                scored = time.monotonic()
                write_report(evaluation, Path(folder))
                self._deadline.measured(1, scored - began, time.monotonic() - scored)
        self.model.load_state_dict(before, strict=False)

    def _save(self, path: Path, bare: bool = False) -> None:
        if not self.fabric.is_global_zero:
            return
        weights = {k: v.detach().cpu() for k, v in self.model.state_dict().items()}
        optimizer = None if bare else self.optimizer.state_dict()
        scaler = None if bare else self.fabric.strategy.precision.state_dict()
        Checkpoint(self.config, weights, self.progress, optimizer, scaler).save(path)
        self._saved = time.monotonic()
        for old in set(self._former) - {path}:
            old.unlink(missing_ok=True)
        self._former = ()


def _continued(resume: Checkpoint, config: Config, processes: int) -> TrainingState:
    """The progress of a checkpoint; ConfigError where the rest of its epoch would be other windows than those left."""

    def shape(training: TrainingConfig, processes: int) -> str:
        return (
            f"seed {training.seed}, batches of {training.batch_size} x {training.accumulate} on {processes} processes"
        )

    before, now = shape(resume.config.training, resume.progress.processes), shape(config.training, processes)
    if resume.progress.batches and before != now:
        raise ConfigError(
            f"the checkpoint is from the middle of an epoch with {before}, this run has {now}: go on with the same, or"
            " from the end of an epoch (epoch_N.pth)"
        )
    return replace(resume.progress, processes=processes)
