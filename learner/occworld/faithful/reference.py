"""The authors' own code (github.com/wzzheng/OccWorld), from a checkout of it, to compare with: needs mmengine and cv2.

Their modules are named `model` and `utils`, so import them in a process that has no others of these names.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from occworld.model_config import FaithfulConfig

_CLASSES = 18


class ReferenceMissing(Exception):
    """No checkout, or a package that it imports is missing."""


def reference_model(checkout: Path, size: int, height: int, config: FaithfulConfig, frames: int) -> nn.Module:
    """Their model with our widths, built as their `config/occworld.py` does, for square grids of size x size x height
    and sequences of `frames` tokens. ReferenceMissing says what is not there."""
    if not (Path(checkout) / "model/TransVQVAE.py").is_file():
        raise ReferenceMissing(f"{checkout}: no checkout of OccWorld")
    # Their planning metric imports nuscenes-devkit; nothing here asks for it.
    metric: Any = ModuleType("utils.metric_stp3")
    metric.PlanningMetric = None
    sys.modules.setdefault("utils.metric_stp3", metric)
    sys.path.insert(0, str(checkout))
    try:
        import model  # noqa: F401
        from mmengine.registry import MODELS
    except ModuleNotFoundError as error:
        raise ReferenceMissing(f"the reference code needs {error.name}") from error
    finally:
        sys.path.remove(str(checkout))
    return MODELS.build(_settings(size, height, config, frames))


def _settings(size: int, height: int, c: FaithfulConfig, frames: int) -> dict:
    coarse = size // 2 ** (len(c.channel_mult) - 1)
    common = dict(
        ch=c.base_channel, ch_mult=tuple(c.channel_mult), num_res_blocks=c.num_res_blocks, attn_resolutions=(coarse,),
        dropout=0.0, resamp_with_conv=True, resolution=size, z_channels=c.code_dim,
    )  # fmt: skip
    folded = height * c.class_dim
    encoder = dict(type="Encoder2D", in_channels=folded, out_ch=c.base_channel, double_z=False, **common)
    decoder = dict(type="Decoder2D", in_channels=folded, out_ch=folded, give_pre_end=False, **common)
    codes = dict(
        type="VectorQuantizer", sane_index_shape=True, n_e=c.num_codes, e_dim=c.code_dim, beta=c.commitment,
        z_channels=c.code_dim, use_voxel=False,
    )  # fmt: skip
    transformer = dict(
        type="PlanUAutoRegTransformer", num_tokens=1, num_frames=frames, num_layers=c.num_layers,
        img_shape=(c.embed_dim, coarse, coarse), pose_shape=(1, c.embed_dim), pose_attn_layers=c.pose_attn_layers,
        pose_output_channel=c.embed_dim, tpe_dim=c.embed_dim, num_heads=c.num_heads,
        channels=tuple(c.embed_dim << i for i in range(c.num_layers + 1)), temporal_attn_layers=c.temporal_attn_layers,
        output_channel=c.num_codes, learnable_queries=False,
    )  # fmt: skip
    poses = dict(num_layers=c.pose_layers, num_modes=3, num_fut_ts=1)
    return dict(
        type="TransVQVAE", num_frames=frames, delta_input=False, offset=1, transformer=transformer,
        vae=dict(type="VAERes2D", encoder_cfg=encoder, decoder_cfg=decoder, num_classes=_CLASSES,
                 expansion=c.class_dim, vqvae_cfg=codes),
        pose_encoder=dict(type="PoseEncoder", in_channels=5, out_channels=c.embed_dim, **poses),
        pose_decoder=dict(type="PoseDecoder", in_channels=c.embed_dim, **poses),
    )  # fmt: skip


def reference_codes(model: Any, grids: Tensor) -> tuple[Tensor, Tensor]:
    """Latents (b, t, d, h, w) and codes (b, t, h, w), as their training step has them. grids: int64 (b, t, X, Y, Z) of
    Occ3D classes."""
    latents, _ = model.vae.forward_encoder(grids)
    chosen, _, (_, _, codes) = model.vae.vqvae.forward_quantizer(model.vae.vqvae.quant_conv(latents), is_voxel=False)
    batch = grids.shape[:2]
    return chosen.unflatten(0, batch), codes.reshape(*batch, *chosen.shape[2:])


def reference_step(model: Any, grids: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
    """Their training step up to the losses: logits (b, t, codes, h, w) and decoded poses of the frames after the first
    t. grids: (b, t + 1, X, Y, Z). poses: (b, t, 5). `forward_train_with_plan` without its moves to a GPU."""
    with torch.no_grad():
        latents, _ = reference_codes(model, grids)
    logits, tokens = model.transformer(latents[:, :-1], pose_tokens=model.pose_encoder(poses))
    return logits, model.pose_decoder(tokens)
