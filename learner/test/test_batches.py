"""However a batch is cut up, over steps, processes or memory, the same is learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from runs import TWO_PROCESSES, start, write_config

from occworld.checkpoint import Checkpoint, build_model
from occworld.config import Config, ConfigError
from occworld.dataset import Batch, GazeboOccWorldDataset
from occworld.faithful.objective import FaithfulObjective
from occworld.layers.blocks import set_recompute
from occworld.losses import class_weights
from occworld.trainer import Trainer

_ROUNDING = 1e-2
"""Of `difference`: processors add up in other orders, which has made up to 0.0017; half of each batch makes 0.46."""


def stage2(faithful: Config, **training: object) -> Config:
    """Forecast stage alone, tokenizer frozen: nothing in it is drawn at random, so runs can be compared."""
    plain = replace(faithful.training, tokenizer_epochs=0, max_epochs=1, freeze_vae=True)
    return replace(faithful, training=replace(plain, **training))


def difference(one: Path, other: Path, config: Config) -> float:
    """How far two runs from the same weights have come apart, in parts of the way that they went."""
    torch.manual_seed(config.training.seed)
    fresh = build_model(config).state_dict()
    ours, theirs = (Checkpoint.load(path).weights for path in (one, other))
    frozen = [name for name in fresh if name.startswith("tokenizer.")]
    assert all(torch.equal(fresh[name], weights[name]) for name in frozen for weights in (ours, theirs))
    learned = [name for name in fresh if name not in frozen]
    apart = sum((ours[name] - theirs[name]).square().sum() for name in learned)
    way = sum((ours[name] - fresh[name]).square().sum() for name in learned)
    assert way > 0
    return float((apart / way).sqrt())


def test_accumulated_gradients_equal_the_larger_batch(faithful: Config, tmp_path: Path) -> None:
    whole, parts = stage2(faithful, batch_size=4), stage2(faithful, batch_size=2, accumulate=2)
    for name, config in (("whole", whole), ("parts", parts)):
        trainer = Trainer(config, tmp_path / name)
        trainer.fit()
        assert trainer.progress.step == -(-len(trainer.train_data) // 4)
    assert difference(tmp_path / "whole/epoch_1.pth", tmp_path / "parts/epoch_1.pth", whole) < _ROUNDING


def test_a_run_that_forgets_half_of_each_batch_is_told_apart(
    faithful: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, forward = stage2(faithful, batch_size=2), FaithfulObjective.forward
    Trainer(config, tmp_path / "whole").fit()

    def of_half(self: FaithfulObjective, batch: Batch, stage: int) -> object:
        return forward(self, Batch(batch.windows[:1]), stage)

    monkeypatch.setattr(FaithfulObjective, "forward", of_half)
    Trainer(config, tmp_path / "half").fit()
    assert difference(tmp_path / "whole/epoch_1.pth", tmp_path / "half/epoch_1.pth", config) > 10 * _ROUNDING


@pytest.mark.parametrize(
    ("launcher", "options"),
    [
        pytest.param(TWO_PROCESSES, (), marks=pytest.mark.nightly, id="torchrun"),
        pytest.param((), ("--cpu-cores", "2"), id="cores"),
    ],
)
def test_two_processes_equal_one_with_the_double_batch(
    faithful: Config, tmp_path: Path, launcher: tuple[str, ...], options: tuple[str, ...]
) -> None:
    config = stage2(faithful, batch_size=2)
    halves = write_config(tmp_path / "halves.py", config, batch_size=1)
    run = start(halves, tmp_path / "two", *options, launcher=launcher)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as each of the two has: sums over more are added up in another order
    try:
        Trainer(config, tmp_path / "one").fit()
    finally:
        torch.set_num_threads(threads)
    assert run.wait() == 0, run.stderr.read().decode()
    assert difference(tmp_path / "one/epoch_1.pth", tmp_path / "two/epoch_1.pth", config) < _ROUNDING
    assert len(list((tmp_path / "two").glob("train_*.log"))) == 1


@pytest.mark.parametrize("stage", [1, 2])
def test_recomputed_activations_give_the_same_gradients_and_keep_less(
    faithful: Config, data: GazeboOccWorldDataset, stage: int
) -> None:
    model = build_model(replace(faithful, model=replace(faithful.model, dropout=0.2)))
    objective = FaithfulObjective(model, faithful.training, class_weights(data.class_counts()))
    codebook = model.tokenizer.quantizer.state_dict()
    gradients, kept = [], []
    for recompute in (False, True):
        set_recompute(model, recompute)
        model.tokenizer.quantizer.load_state_dict(codebook)
        torch.manual_seed(3)
        sizes: dict[int, int] = {}

        def keep(tensor: torch.Tensor, sizes: dict[int, int] = sizes) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = objective(Batch([data[0], data[-1]]), stage).total
        kept.append(sum(sizes.values()))
        model.zero_grad()
        loss.backward()
        gradients.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.allclose(gradients[0][name], gradients[1][name], atol=1e-6) for name in gradients[0])
    assert kept[1] < 0.75 * kept[0]


@pytest.mark.parametrize(
    "precision",
    [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.nightly)],  # slow on a CPU
)
def test_half_precision_trains_and_revives_codes(
    faithful: Config, data: GazeboOccWorldDataset, precision: torch.dtype
) -> None:
    model = build_model(faithful)
    model.tokenizer.quantizer.patience = 2
    objective = FaithfulObjective(model, faithful.training, class_weights(data.class_counts()))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses, batch = [], Batch([data[0], data[-1]])
    for step in range(16):
        with torch.autocast("cpu", dtype=precision):
            loss = objective(batch, 1 if step < 12 else 2)
        optimizer.zero_grad()
        loss.total.backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        losses.append(loss.total.item())
    assert losses[11] < losses[0] and losses[15] < losses[12]


def test_codes_are_the_same_in_any_precision(faithful: Config, data: GazeboOccWorldDataset) -> None:
    quantizer = build_model(faithful).tokenizer.quantizer.eval()
    # Codes that half precision can't tell apart.
    with torch.no_grad():
        quantizer.codebook.copy_(1 + 1e-3 * torch.randn_like(quantizer.codebook))
    z = quantizer.codebook.detach()[None, :, :, None].transpose(1, 2).contiguous()
    for precision in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=precision):
            assert torch.equal(quantizer(z).codes.flatten(), torch.arange(len(quantizer.codebook)))


def test_a_run_is_not_resumed_with_other_batches_in_mid_epoch(faithful: Config, tmp_path: Path) -> None:
    config = stage2(faithful, batch_size=2)
    trainer = Trainer(config, tmp_path)
    fresh = Checkpoint(config, trainer.model.state_dict(), replace(trainer.progress, batches=2))
    with pytest.raises(ConfigError, match="the middle of an epoch with seed 42, batches of 2 x 1 on 1 processes"):
        Trainer(stage2(faithful, batch_size=4), tmp_path, fresh)
    whole = replace(fresh, progress=replace(fresh.progress, batches=0))
    assert Trainer(stage2(faithful, batch_size=4), tmp_path, whole).progress.batches == 0


def test_only_the_faithful_model_recomputes(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"for model\.architecture 'faithful'"):
        Trainer(replace(config, training=replace(config.training, recompute=True)), tmp_path)


@pytest.mark.parametrize(("part", "frozen"), [("vae", "tokenizer"), ("transformer", "transformer"), ("pose", "ego")])
def test_a_run_leaves_frozen_parts_as_stage_one_made_them(
    faithful: Config, tmp_path: Path, part: str, frozen: str
) -> None:
    flags = {f"freeze_{name}": name == part for name in ("vae", "transformer", "pose")}
    training = replace(faithful.training, tokenizer_epochs=1, max_epochs=1, **flags)
    Trainer(replace(faithful, training=training), tmp_path).fit()
    before, after = (Checkpoint.load(tmp_path / name).weights for name in ("tokenizer_1.pth", "epoch_1.pth"))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"tokenizer", "transformer", "ego"} - {frozen}
