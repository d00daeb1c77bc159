"""Beside the authors' code: same names, shapes and numbers. OCCWORLD_REFERENCE names a checkout of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_faithful import ORIGINAL, published_shapes

from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import SparseGrid
from occworld.checkpoint import build_model
from occworld.config import DatasetConfig, read_config
from occworld.faithful.published import load_published
from occworld.faithful.reference import ReferenceMissing, reference_codes, reference_model
from occworld.layers.attention import TimeCache

CHECKOUT = os.environ.get("OCCWORLD_REFERENCE", "")
pytestmark = pytest.mark.skipif(not CHECKOUT, reason="OCCWORLD_REFERENCE names no checkout of wzzheng/OccWorld")
SIZE, HEIGHT, FRAMES = 40, 8, 4


def theirs(size: int, height: int, config, frames: int) -> torch.nn.Module:
    try:
        return reference_model(Path(CHECKOUT), size, height, config, frames)
    except ReferenceMissing as error:
        pytest.skip(str(error))


def test_the_reference_code_makes_the_tensors_of_the_published_checkpoint() -> None:
    made = theirs(200, 16, read_config(ORIGINAL).model, 15).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in made.items()} == published_shapes()


def test_with_its_weights_we_compute_what_the_reference_code_does() -> None:
    config = read_config(ORIGINAL)
    grid = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 2.2), (0.4, 0.4, 0.4))
    narrow = replace(config.model, base_channel=32, code_dim=32, embed_dim=32, num_codes=64, temporal_attn_layers=2,
                     max_frames=FRAMES, pose_hidden=32)  # fmt: skip
    data = DatasetConfig(history_frames=2, future_frames=2, point_cloud_range=(*grid.lower, *grid.upper),
                         voxel_size=grid.voxel)  # fmt: skip
    torch.manual_seed(1)
    reference = theirs(SIZE, HEIGHT, narrow, FRAMES).eval()
    ours = build_model(replace(config, data=data, model=narrow)).eval()
    loaded = load_published(ours, {"state_dict": reference.state_dict()})
    assert not loaded.refused and not loaded.missing
    generator = np.random.default_rng(2)
    grids = generator.integers(1, 16, (FRAMES, SIZE, SIZE, HEIGHT)).astype(np.uint8)
    grids[generator.random(grids.shape) < 0.9] = 0
    frames = [SparseGrid.from_dense(dense) for dense in grids]
    with torch.no_grad():
        named = torch.from_numpy(ours.tokenizer.table.into[grids].astype(np.int64))[None]
        latents, codes = reference_codes(reference, named)
        tokens = ours.tokenizer.encode(frames)
        assert torch.equal(tokens.codes, codes[0]) and len(codes.unique()) > 8
        poses = torch.randn(1, FRAMES, 5)
        logits, pose = reference.transformer(latents, pose_tokens=reference.pose_encoder(poses))
        found = ours.transformer(tokens.latents[None], ours.ego.encoder(poses), TimeCache())
        assert torch.allclose(found.logits, logits, atol=1e-4) and torch.allclose(found.pose, pose, atol=1e-4)
        rebuilt = reference.vae.vqvae.post_quant_conv(latents[0])
        shape = torch.Size((1, FRAMES, SIZE, SIZE, HEIGHT))
        _, sizes = reference.vae.forward_encoder(named)
        expected = reference.vae.forward_decoder(rebuilt, sizes, shape)
        whole = ours.tokenizer.decode(tokens.latents)
        slabs = [torch.cat([part for _, part in ours.tokenizer.head.slabs(frame[None], ours.tokenizer.embedding)])
                 for frame in whole]  # fmt: skip
        assert torch.allclose(torch.stack(slabs).reshape(expected[0].shape), expected[0], atol=1e-3)
