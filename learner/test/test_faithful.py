"""The faithful OccWorld: its parts against plain formulas, and the published weights' names and shapes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from occ_core.classes import FROM_OCC3D, TO_OCC3D
from occ_core.sparse_grid import SparseGrid
from occworld.checkpoint import build_model, load_weights
from occworld.checkpoint_file import CheckpointError
from occworld.config import Config, read_config
from occworld.dataset import Batch, GazeboOccWorldDataset
from occworld.faithful.autoencoder import Decoder2D, Encoder2D
from occworld.faithful.ego import EgoTrack, ModeTokens
from occworld.faithful.fold import ClassTable, ColumnHead, SparseFold
from occworld.faithful.objective import FaithfulObjective
from occworld.faithful.plan_u import PlanU
from occworld.faithful.published import load_published, our_name
from occworld.layers.attention import TimeCache
from occworld.losses import class_weights, lovasz_softmax
from occworld.scene import Scene

# Names and shapes of the 768 tensors, as the log of the published model's evaluation lists them.
PUBLISHED = Path(__file__).parent / "published_tensors.txt"
ORIGINAL = Path(__file__).parents[1] / "config/occworld_nuscenes.py"


def published_shapes() -> dict[str, tuple[int, ...]]:
    rows = (line.split() for line in PUBLISHED.read_text().splitlines())
    return {name: tuple(int(n) for n in shape.split("x")) for name, shape in rows}


@pytest.fixture(scope="module")
def original() -> torch.nn.Module:
    return build_model(read_config(ORIGINAL))


@pytest.mark.parametrize("table", ["tokyo", "occ3d"])
def test_the_sparse_fold_equals_embedding_fold_and_convolution(table: str) -> None:
    classes = ClassTable.of(table)
    fold = SparseFold((7, 9, 5), classes, 3, 6)
    grids = np.random.default_rng(0).integers(0, 16, (2, 7, 9, 5)).astype(np.uint8)
    grids[grids > 9] = 0
    embedded = fold.embedding(torch.from_numpy(classes.into[grids]).long())
    expected = fold.conv(embedded.flatten(3).permute(0, 3, 1, 2))
    found = fold([SparseGrid.from_dense(grid) for grid in grids])
    assert torch.allclose(found, expected, atol=1e-5)
    for output in (found, expected):
        fold.zero_grad()
        (output * torch.linspace(-1, 1, output.numel()).reshape(output.shape)).sum().backward(retain_graph=True)
        gradients = [weight.grad.clone() for weight in fold.parameters()]
        if output is found:
            first = gradients
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(first, gradients, strict=True))


def test_chosen_columns_equal_the_whole_convolution() -> None:
    head, embedding = ColumnHead(6, 5, 3), torch.randn(16, 3)
    features = torch.randn(2, 6, 7, 9)
    whole = head.conv(features).permute(0, 2, 3, 1).reshape(-1, 5, 3) @ embedding.T
    chosen = torch.tensor([0, 62, 63, 125, 70])
    assert torch.allclose(head(features, chosen, embedding), whole[chosen], atol=1e-5)
    slabs = torch.cat([logits for _, logits in head.slabs(features[1:], embedding)])
    assert torch.allclose(slabs, whole[63:], atol=1e-5)


@pytest.mark.parametrize("size", [(40, 40), (37, 22)])
def test_encoder_and_decoder_are_each_others_shape(size: tuple[int, int]) -> None:
    encoder, decoder = Encoder2D(8, (1, 2, 4), 1, 16), Decoder2D(8, (1, 2, 4), 1, 16, size)
    latents = encoder(torch.randn(2, 8, *size, requires_grad=True))
    assert latents.shape == (2, 16, *decoder.sizes[-1])
    assert decoder(latents).shape == (2, 8, *size)


def _transformer() -> PlanU:
    return PlanU((7, 6), 11, 16, levels=2, heads=2, temporal=2, pose=1, dropout=0.0, max_frames=6).eval()


def test_the_past_does_not_see_the_future() -> None:
    transformer = _transformer()
    codes, poses = torch.randn(1, 5, 16, 7, 6), torch.randn(1, 5, 16)
    before = transformer(codes, poses, TimeCache())
    codes[:, 3:] += 1
    poses[:, 3:] += 1
    after = transformer(codes, poses, TimeCache())
    assert before.logits.shape == (1, 5, 11, 7, 6) and before.pose.shape == (1, 5, 16)
    assert torch.allclose(before.logits[:, :3], after.logits[:, :3], atol=1e-5)
    assert torch.allclose(before.pose[:, :3], after.pose[:, :3], atol=1e-5)
    assert not torch.allclose(before.logits[:, 3], after.logits[:, 3])


def test_frame_by_frame_equals_all_at_once() -> None:
    transformer = _transformer()
    codes, poses = torch.randn(2, 5, 16, 7, 6), torch.randn(2, 5, 16)
    whole = transformer(codes, poses, TimeCache())
    cache = TimeCache()
    parts = [transformer(codes[:, a:b], poses[:, a:b], cache) for a, b in ((0, 2), (2, 3), (3, 5))]
    assert torch.allclose(torch.cat([part.logits for part in parts], 1), whole.logits, atol=1e-5)
    assert torch.allclose(torch.cat([part.pose for part in parts], 1), whole.pose, atol=1e-5)
    with pytest.raises(ValueError, match="a sequence of 7 frames, the model takes 6"):
        transformer(codes[:, :2], poses[:, :2], cache)


def test_every_published_tensor_has_its_place(original: torch.nn.Module) -> None:
    own = {name: tuple(tensor.shape) for name, tensor in original.state_dict().items()}
    theirs = {our_name(name): shape for name, shape in published_shapes().items()}
    assert len(theirs) == 768 and sum(int(np.prod(shape)) for shape in theirs.values()) == 72_385_578
    assert {name: own.get(name) for name in theirs} == theirs
    assert set(own) - set(theirs) == {"tokenizer.quantizer.idle"}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_weights_are_taken_and_the_rest_is_named(original: torch.nn.Module, prefix: str) -> None:
    weights = {prefix + name: torch.full(shape, 0.5) for name, shape in published_shapes().items()}
    del weights[f"{prefix}transformer.pose_out.bias"]
    weights[f"{prefix}vae.class_embeds.weight"] = torch.zeros(17, 8)
    weights[f"{prefix}vae.discriminator.weight"] = torch.zeros(3)
    loaded = load_published(original, {"state_dict": weights, "epoch": 200})
    assert len(loaded.taken) == 766
    assert dict(loaded.refused) == {
        f"{prefix}vae.class_embeds.weight": "it is 17 x 8, this model's is 18 x 8",
        f"{prefix}vae.discriminator.weight": "this model has no such part",
    }
    assert set(loaded.missing) == {"tokenizer.fold.embedding.weight", "transformer.to_pose.bias"}
    assert "766 tensors taken, 2 not, 2 of ours stay fresh" in loaded.report()
    assert (original.transformer.to_logits.weight == 0.5).all()


def test_a_file_of_the_tokenizer_alone_fills_the_tokenizer(original: torch.nn.Module) -> None:
    weights = {
        name.removeprefix("vae."): torch.zeros(shape)
        for name, shape in published_shapes().items()
        if name.startswith("vae.")
    }
    loaded = load_published(original, weights)
    assert not loaded.refused and all(not name.startswith("tokenizer.") for name in loaded.missing)


def test_a_published_file_is_read_with_its_numpy_scores_and_for_a_faithful_model_only(
    tmp_path: Path, config: Config, faithful: Config
) -> None:
    body = {"state_dict": {"vae.class_embeds.weight": torch.ones(18, 8)}, "best_val_iou": [np.float64(30.5)]}
    torch.save(body, tmp_path / "latest.pth")
    model = build_model(faithful)
    assert "it is 18 x 8, this model's is 16 x 4" in load_weights(model, tmp_path / "latest.pth").report()
    with pytest.raises(CheckpointError, match="for model.architecture 'faithful' only"):
        load_weights(build_model(config), tmp_path / "latest.pth")


def test_class_tables_agree_where_both_have_a_class() -> None:
    table = ClassTable.of("occ3d")
    assert len(table) == 18 and table.into[0] == table.free == 17 and table.out_of[17] == 0
    for ours in (1, 2, 3, 4, 5, 9, 11, 12):
        assert FROM_OCC3D[TO_OCC3D[ours]] == ours


def test_a_track_goes_on_as_motions_do_and_turns_are_told_by_the_side() -> None:
    twist = np.zeros((4, 13), np.float32)
    straight = EgoTrack(np.array([[2.0 * i, 0, 0, 0] for i in range(4)]), twist)
    further = straight.extended(np.array([2.0, 0, 0, 0.1]), 0.5)
    assert np.allclose(further.footprint[-1], [8, 0, 0, 0.1])
    assert np.allclose(further.twist[-1, [0, 3, 6, 7, 12]], [0.2, np.cos(0.05), np.sin(0.05), 0.4, 0.2])
    assert ModeTokens.mode(straight) == 2
    for side, mode in ((-3.0, 0), (3.0, 1)):
        bent = straight.footprint.copy()
        bent[-1, 1] = side
        assert ModeTokens.mode(replace(straight, footprint=bent)) == mode


def test_lovasz_softmax_is_one_minus_mean_iou_at_certain_probabilities() -> None:
    truth, guess = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([0, 0, 1, 2, 2, 2])
    certain = F.one_hot(guess, 3).float()
    assert torch.isclose(lovasz_softmax(certain, truth), torch.tensor(1 - (1 + 1 / 2 + 2 / 3) / 3))


@pytest.mark.parametrize(("pose", "condition"), [("twist", "none"), ("mode", "none"), ("twist", "poses")])
def test_every_weight_learns_and_the_forecast_has_its_shape(
    faithful: Config, data: GazeboOccWorldDataset, pose: str, condition: str
) -> None:
    config = replace(faithful, model=replace(faithful.model, pose=pose, condition=condition))
    model = build_model(config)
    torch.nn.init.normal_(model.ego.decoder[-1].weight, std=0.01)
    objective = FaithfulObjective(model, config.training, class_weights(data.class_counts()))
    batch = Batch([data[0], data[-1]])
    for stage in (1, 2):
        objective(batch, stage).total.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all() and weight.grad.any(), name
    planned = condition == "poses"
    result = model.eval().forecast(Scene.of(model.grid, data[0], planned))
    assert len(result.frames) == 6 and result.frames[0].classes.shape == model.grid.shape
    assert result.frames[0].probability.dtype == np.float16 and result.motion.shape == (6, 4)
    assert not planned or np.allclose(result.motion, data[0].motion[4:])


@pytest.mark.parametrize("which", [0, 1, 2])
def test_frozen_parts_stay_as_they_are(faithful: Config, data: GazeboOccWorldDataset, which: int) -> None:
    model = build_model(faithful)
    torch.nn.init.normal_(model.ego.decoder[-1].weight, std=0.01)
    objective = FaithfulObjective(model, faithful.training, class_weights(data.class_counts()))
    model.freeze(*(i == which for i in range(3)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    objective(Batch([data[0]]), 2).total.backward()
    optimizer.step()
    frozen = ("tokenizer", "transformer", "ego")[which]
    changed = {name.split(".")[0] for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert changed == {"tokenizer", "transformer", "ego"} - {frozen}


def test_the_tokenizer_learns_to_rebuild_a_frame(faithful: Config, data: GazeboOccWorldDataset) -> None:
    wide = replace(faithful.model, class_dim=8, base_channel=16, channel_mult=(1,), num_codes=256)
    model = build_model(replace(faithful, model=wide))
    training = replace(faithful.training, column_samples=1600)
    objective = FaithfulObjective(model, training, class_weights(data.class_counts()))
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for step in range(60):
        optimizer.param_groups[0]["lr"] = 4e-3 * min(1.0, (60 - step) / 30)
        loss = objective(Batch([data[0]]), 1)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    assert loss.codebook_use > 0.4
    model.eval()
    frame = data[0].frames[0]
    with torch.no_grad():
        said = model._dense(model.tokenizer.encode([frame]).latents).classes > 0
    truth = frame.dense(model.grid.shape) > 0
    assert (said & truth).sum() / (said | truth).sum() > 0.4


@pytest.mark.parametrize("table", ["tokyo", "occ3d"])
def test_empty_weighs_no_more_than_any_class(faithful: Config, data: GazeboOccWorldDataset, table: str) -> None:
    model = build_model(replace(faithful, model=replace(faithful.model, class_table=table)))
    weights = FaithfulObjective(model, faithful.training, class_weights(data.class_counts())).class_weights
    assert weights[model.tokenizer.table.free] == weights.min() > 0
    # The commonest class of the street, and the only car in it.
    assert weights[model.tokenizer.table.into[9]] > weights[model.tokenizer.table.into[1]]
