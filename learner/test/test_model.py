"""Parts of the model, and the model as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from occ_core.classes import DYNAMIC_IDS
from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import SparseGrid
from occworld import baselines
from occworld import motion as motions
from occworld.aligned import DensePast
from occworld.checkpoint import build_model
from occworld.config import Config
from occworld.dataset import Batch, GazeboOccWorldDataset
from occworld.fast import numpy_model
from occworld.fast.candidates import GATE
from occworld.fast.column_prior import surplus
from occworld.fast.flow import true_velocity
from occworld.fast.maps import dynamic_maps
from occworld.fast.numpy_layers import WeightsError
from occworld.fast.numpy_model import NumpyOccWorld
from occworld.fast.pose import integrate
from occworld.fast.tokenizer import SparsePatchify
from occworld.fast.transformer import OccWorldTransformer
from occworld.layers.attention import TimeCache
from occworld.layers.quantizer import VectorQuantizer
from occworld.losses import class_weights, lovasz_hinge
from occworld.metrics import confusion, score
from occworld.scene import Scene
from occworld.tracks import advance, track
from occworld.warp import resample


def test_sparse_fold_equals_embedding_fold_and_strided_convolution() -> None:
    fold = SparsePatchify((8, 12, 5), 16, 3, 4, 7)
    grids = np.random.default_rng(0).integers(0, 16, (2, 8, 12, 5)).astype(np.uint8)
    embedded = fold.embedding()[torch.from_numpy(grids).long()]
    folded = embedded.permute(0, 4, 3, 1, 2).reshape(2, 15, 8, 12)
    kernel = fold.kernel.permute(4, 0, 1, 2, 3).reshape(7, 15, 4, 4)
    expected = F.conv2d(folded, kernel, fold.bias, stride=4)
    assert torch.allclose(fold([SparseGrid.from_dense(g) for g in grids]), expected, atol=1e-5)


def test_gradient_passes_straight_through_the_quantizer() -> None:
    quantizer = VectorQuantizer(8, 4).eval()
    z = torch.randn(2, 4, 3, 3, requires_grad=True)
    out = quantizer(z)
    assert torch.allclose(out.latents, quantizer.codebook[out.codes].permute(0, 3, 1, 2))
    slope = torch.randn_like(z)
    (out.latents * slope).sum().backward()
    assert torch.allclose(z.grad, slope)


def test_commitment_is_a_quarter_of_the_codebook_term() -> None:
    quantizer = VectorQuantizer(8, 4).eval()
    z = torch.randn(1, 4, 2, 2, requires_grad=True)
    out = quantizer(z)
    out.loss.backward()
    distance = z - quantizer.codebook[out.codes].permute(0, 3, 1, 2)
    assert torch.allclose(z.grad, 0.25 * 2 * distance.detach() / z.numel(), atol=1e-6)


def test_dead_codes_come_back() -> None:
    quantizer = VectorQuantizer(16, 4, patience=3).train()
    with torch.no_grad():
        quantizer.codebook[1:] += 100
    z = torch.randn(4, 4, 4, 4)
    first = quantizer(z).use
    for _ in range(4):
        last = quantizer(z).use
    assert first < 0.1 and last > 0.5


def _transformer() -> OccWorldTransformer:
    return OccWorldTransformer((2, 3), 4, 8, 16, 2, layers=2, temporal_layers=2, dropout=0.0, max_frames=6).eval()


def test_the_past_does_not_see_the_future() -> None:
    transformer = _transformer()
    latents, poses = torch.randn(1, 5, 4, 2, 3), torch.randn(1, 5, 16)
    before = transformer(latents, poses, TimeCache())
    latents[:, 3:] += 1
    poses[:, 3:] += 1
    after = transformer(latents, poses, TimeCache())
    assert torch.allclose(before.logits[:, :3], after.logits[:, :3], atol=1e-6)
    assert torch.allclose(before.pose[:, :3], after.pose[:, :3], atol=1e-6)
    assert not torch.allclose(before.logits[:, 3], after.logits[:, 3])


def test_frame_by_frame_equals_all_at_once() -> None:
    transformer = _transformer()
    latents, poses = torch.randn(2, 5, 4, 2, 3), torch.randn(2, 5, 16)
    whole = transformer(latents, poses, TimeCache())
    cache = TimeCache()
    parts = [transformer(latents[:, t : t + 1], poses[:, t : t + 1], cache).logits for t in range(5)]
    assert torch.allclose(torch.cat(parts, 1), whole.logits, atol=1e-5)


def test_steps_chain_as_motions_do() -> None:
    steps = np.random.default_rng(0).normal(size=(4, 4)) * 0.3
    pose, expected = np.zeros(4), []
    for step in steps:
        pose = motions.compose(pose, step)
        expected.append(pose)
    assert np.allclose(integrate(torch.from_numpy(steps[None]))[0].numpy(), expected)


def test_lovasz_is_one_minus_iou_at_certain_logits() -> None:
    truth = torch.tensor([True, True, True, False, False])
    guess = torch.tensor([True, True, False, True, False])
    # Hinge errors are 0 where right and 2 where wrong at logits of one: twice the Jaccard loss.
    assert torch.isclose(lovasz_hinge(2.0 * guess - 1, truth), torch.tensor(2 * (1 - 2 / 4)))


def test_a_moving_instance_has_its_velocity_and_arrives() -> None:
    grid = VoxelGrid((0.0, 0.0, 0.0), (16.0, 16.0, 2.0), (0.5, 0.5, 1.0))
    frames = []
    for t in range(3):
        classes = np.zeros(grid.shape, np.uint8)
        classes[8 + 2 * t : 12 + 2 * t, 10:13, 0] = 9
        frames.append(SparseGrid.from_dense(classes, (classes > 0).astype(np.uint16) * 5))
    voxels, speeds = true_velocity(grid, frames[0], frames[1:], 0.5)
    assert len(voxels) == 12 and np.allclose(speeds, [2.0, 0, 0])
    tracks = track(grid, frames, np.zeros((3, 4)))
    assert len(tracks.things) == 1 and np.allclose(tracks.step, [1.0, 0, 0])
    ahead = advance(grid, DensePast.of(grid, frames), tracks, tracks.map(grid) / 0.5, 0.5)
    assert np.array_equal(ahead.frames[-1][2:], frames[2].dense(grid.shape)[:-2])
    assert all(np.array_equal(ahead.frames[t], frames[t].dense(grid.shape)) for t in range(2))
    held = np.stack(ahead.frames).any(axis=3)
    assert (ahead.tops[held] == 1).all() and not held[ahead.tops == 0].any()


def test_an_untrained_model_forecasts_its_past_moved_on(config: Config, data: GazeboOccWorldDataset) -> None:
    model = build_model(config).eval()
    for index in (0, len(data) // 2, len(data) - 1):
        window = data[index]
        scene = Scene.of(model.grid, window, False)
        result = model.forecast(scene)
        speed = scene.tracks.map(model.grid) / model.frame_period
        for step, ours in enumerate(result.frames):
            ahead = advance(model.grid, scene.past, scene.tracks, speed, (step + 1) * model.frame_period)
            assert np.array_equal(ours.classes, resample(model.grid, ahead.frames[-1], result.motion[step]))
            assert ours.probability.shape == model.grid.shape and ours.probability.dtype == np.float16
        # The drives of the fixture turn slowly: going on as now is right to a decimetre after half a second.
        assert np.linalg.norm((result.motion - window.motion[4:])[0, :2]) < 0.1


def test_priors_that_would_fill_the_grid_are_not_believed(config: Config, data: GazeboOccWorldDataset) -> None:
    model = build_model(config).eval()
    usual = model.forecast(scene := Scene.of(model.grid, data[2], False))
    for prior in (model.head.prior, model.head.seen_prior):
        torch.nn.init.constant_(prior.bias, 2.0)
    for ours, before in zip(model.forecast(scene).frames, usual.frames, strict=True):
        assert np.array_equal(ours.classes, before.classes)


def test_no_more_is_new_than_a_quarter_of_what_there_is() -> None:
    logits = np.random.default_rng(1).normal(0, 2, 50_000).astype(np.float32)
    taken = surplus(logits, 20_000)
    assert (1 / (1 + np.exp(taken - logits))).sum() == pytest.approx(5_000, rel=1e-3)
    assert surplus(logits, 200_000) == 0 and surplus(logits[:0], 0) == 0
    assert (1 / (1 + np.exp(surplus(logits, 0) - logits))).sum() < 1


def test_a_forecast_is_the_same_on_any_number_of_cores(
    config: Config, data: GazeboOccWorldDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(config).eval()
    torch.nn.init.normal_(model.head.out_weight, std=0.3)
    scene, results = Scene.of(model.grid, data[2], False), []
    for threads in (1, 3):
        monkeypatch.setattr(numpy_model, "thread_count", lambda threads=threads: threads)
        results.append(model.forecast(scene))
    for one, three in zip(results[0].frames, results[1].frames, strict=True):
        assert one.classes.any() and np.array_equal(one.classes, three.classes)
        assert np.array_equal(one.probability, three.probability)


@pytest.mark.parametrize("widths", [{}, {"num_layers": 2, "temporal_attn_layers": 2, "pose_layers": 3, "patch": 8}])
def test_without_pytorch_the_same_is_imagined(config: Config, data: GazeboOccWorldDataset, widths: dict) -> None:
    torch.manual_seed(4)
    model = build_model(replace(config, model=replace(config.model, **widths))).eval()
    with torch.no_grad():
        for weights in model.parameters():  # what begins with zeros would prove nothing
            weights += 0.05 * torch.randn_like(weights)
    scene = Scene.of(model.grid, data[2], False)
    assert dynamic_maps(model.grid, scene.aligned).any()
    with torch.inference_mode():
        theirs = model.imagine([scene])
    ours = model.without_torch().imagine(scene)
    assert np.allclose(ours.latents.transpose(0, 3, 1, 2), theirs.latents[0], atol=1e-4)
    assert np.allclose(ours.motion, theirs.motion[0], atol=1e-4)
    assert np.allclose(ours.velocity, theirs.velocity[0], atol=1e-3) and np.ptp(ours.velocity) > 0.1


def test_tensors_that_are_not_the_models_are_named(config: Config) -> None:
    model = build_model(config)
    rest = config.model, model.history, model.steps, model.frame_period
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    NumpyOccWorld(model.grid, *rest, tensors)
    for wrong, message in (
        ({**tensors, "head.extra": np.zeros(2)}, "no such part: head.extra"),
        ({name: values for name, values in tensors.items() if name != "persistence"}, "no tensor persistence"),
        ({**tensors, "head.naming": np.zeros((2, 3))}, "head.naming is 2 x 3, this model's is 12"),
    ):
        with pytest.raises(WeightsError, match=message):
            NumpyOccWorld(model.grid, *rest, wrong)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("planned", [False, True])
def test_compiled_loops_forecast_what_the_layers_do(
    config: Config, data: GazeboOccWorldDataset, planned: bool, gated: bool
) -> None:
    torch.manual_seed(3)
    model = build_model(config).eval()
    head = model.head
    for values in (head.out_weight, head.prior.weight, head.seen_prior.weight, model.decoder.foretold):
        torch.nn.init.normal_(values, std=0.3)
    if gated:
        for gate in (head.gate, head.prior_gate):
            gate.normal_(0, 0.1).add_(torch.tensor(GATE))
        head.naming.copy_(torch.tensor([0.0, 0.5, 1.0, 0.25]).repeat(model.steps)[: len(head.naming)])
        head.named_right.uniform_(0.5, 1.0)
        head.missed.uniform_(1.0, 3.0)
        head.threshold.fill_(-2.2)
    else:
        head.threshold.uniform_(-0.5, 0.5)
    scene = Scene.of(model.grid, data[2], planned)
    velocity = scene.tracks.map(model.grid) + 0.5
    with torch.inference_mode():
        imagined = model.imagine([scene])
        future = model.future_motion(scene, imagined.motion[0])
        future[:, 2] += 0.4
        layers = model.filled(scene, imagined.latents[0], future, velocity)
    latents = imagined.latents[0].permute(0, 2, 3, 1).numpy()
    loops = model.without_torch().filled(scene, latents, future, velocity)
    for ours, theirs in zip(loops, layers, strict=True):
        assert len(np.unique(theirs.classes)) > 5
        # Sums in another order: a voxel that is as good as on its threshold may fall to the other side.
        same = ours.classes == theirs.classes
        assert np.count_nonzero(~same) <= 1e-4 * np.count_nonzero(theirs.classes)
        there = same & (theirs.classes > 0)
        assert np.allclose(ours.probability[there], theirs.probability[there], atol=2e-3)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_fails_beside_other_work_is_heard(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_model, "thread_count", lambda: threads)
    assert numpy_model._side_by_side(lambda part: 6 // part, [1, 2, 3]) == [6, 3, 2]
    with pytest.raises(ZeroDivisionError):
        numpy_model._side_by_side(lambda part: 6 // part, [1, 0])


def test_given_poses_are_used(config: Config, data: GazeboOccWorldDataset) -> None:
    model = build_model(config).eval()
    window = data[3]
    result = model.forecast(Scene.of(model.grid, window, True))
    assert np.allclose(result.motion, window.motion[4:])
    still = ~np.isin(result.frames[5].classes, DYNAMIC_IDS)
    current = window.frames[3].dense(model.grid.shape)
    oracle = baselines.warp_oracle(model.grid, current, window.motion[4:])[5]
    assert np.array_equal(result.frames[5].classes[still], np.where(np.isin(oracle, DYNAMIC_IDS), 0, oracle)[still])


def test_every_weight_learns_in_one_stage_or_the_other(config: Config, data: GazeboOccWorldDataset) -> None:
    model = build_model(config)
    for head in (
        model.pose_decoder.net[-1].weight,
        model.flow.out.weight,
        model.head.prior.weight,
        model.head.seen_prior.weight,
        model.head.out_weight,
    ):
        torch.nn.init.normal_(head, std=0.01)
    objective = model.objective(config.training, class_weights(data.class_counts()))
    for stage in (1, 2):
        objective(Batch([data[0], data[-1]]), stage).total.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all() and weight.grad.any(), name


@pytest.mark.parametrize(
    ("count", "steps", "iou"),
    [
        pytest.param(1, 80, 0.7, marks=pytest.mark.slow),  # test_overfit.py learns one by the command
        pytest.param(2, 160, 0.95, marks=pytest.mark.nightly),
    ],
)
def test_windows_are_learned_by_heart(
    config: Config, data: GazeboOccWorldDataset, count: int, steps: int, iou: float
) -> None:
    wide = replace(config.model, base_channel=48, column_dim=32, code_dim=32, embed_dim=32)
    model = build_model(replace(config, model=wide))
    training = replace(config.training, voxel_samples=4096, column_samples=1024, horizons_per_step=6, plan_share=0.0)
    objective = model.objective(training, class_weights(data.class_counts()))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    windows = [data[0], data[-1]][:count]
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * min(1.0, 2 * (steps - step) / steps)
        loss = objective(Batch(windows), 2).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    ours = np.zeros((16, 16), np.int64)
    for window in windows:
        result = model.forecast(Scene.of(model.grid, window, False))
        for step in range(6):
            ours += confusion(result.frames[step].classes, window.frames[4 + step].dense(model.grid.shape))
    assert score(ours, 0).iou > iou, score(ours, 0)
