"""Weights of the original OccWorld (wzzheng/OccWorld, `latest.pth`) into ours: same tensors under other names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from occworld.forecast_model import Intake

# (pattern, our name), applied one after another to the original's names.
_RENAMES: tuple[tuple[str, str], ...] = (
    (r"^module\.", ""),
    (r"^vae\.class_embeds\.", "tokenizer.fold.embedding."),
    (r"^vae\.vqvae\.embedding\.weight$", "tokenizer.quantizer.codebook"),
    (r"^vae\.vqvae\.quant_conv\.", "tokenizer.to_code."),
    (r"^vae\.vqvae\.post_quant_conv\.", "tokenizer.from_code."),
    (r"^vae\.encoder\.conv_in\.", "tokenizer.fold.conv."),
    (r"^vae\.decoder\.conv_out\.", "tokenizer.head.conv."),
    (r"^vae\.(encoder|decoder)\.", r"tokenizer.\1."),
    (r"^(tokenizer\.decoder)\.conv_in\.", r"\1.inward."),
    (r"^(tokenizer\.encoder)\.conv_out\.", r"\1.out."),
    (r"\.norm_out\.", ".norm."),
    (r"\.up\.1\.upsample\.conv\.", ".up.0."),
    (r"\.up\.2\.upsample\.conv\.", ".up.1."),
    (r"\.down\.(\d)\.downsample\.conv\.", r".down.\1."),
    (r"\.(?:down|up)\.(\d)\.block\.", r".levels.\1.blocks."),
    (r"\.(?:down|up)\.(\d)\.attn\.", r".levels.\1.attention."),
    (r"\.mid\.block_1\.", ".middle.before."),
    (r"\.mid\.attn_1\.", ".middle.attention."),
    (r"\.mid\.block_2\.", ".middle.after."),
    (r"\.nin_shortcut\.", ".shortcut."),
    (r"(attention(?:\.\d)?)\.q\.", r"\1.query."),
    (r"(attention(?:\.\d)?)\.k\.", r"\1.key."),
    (r"(attention(?:\.\d)?)\.v\.", r"\1.value."),
    (r"\.proj_out\.", ".out."),
    (r"^transformer\.temporal_embeddings\.", "transformer.time."),
    (r"^transformer\.pose_temporal_embeddings\.", "transformer.pose_time."),
    (r"^transformer\.conv_out\.", "transformer.to_logits."),
    (r"^transformer\.pose_out\.", "transformer.to_pose."),
    (r"^transformer\.downsamples\.", "transformer.down."),
    (r"^transformer\.upsamples\.", "transformer.up."),
    (r"^transformer\.mid\.(\d)\.", r"transformer.middle.\1."),
    (r"^transformer\.pose_mid\.", "transformer.pose_middle."),
    (r"^transformer\.(en|de)coders\.(\d)\.(\d)\.", r"transformer.\1coders.\2.convs.\3."),
    (r"^transformer\.pose_(en|de)\.(\d)\.", r"transformer.\1coders.\2.pose_out."),
    (r"^transformer\.temporal_attentions_(en|de)\.(\d)\.(\d)\.", r"transformer.\1coders.\2.time.\3."),
    (r"^transformer\.pose_attn_(en|de)\.(\d)\.(\d)\.", r"transformer.\1coders.\2.pose.\3."),
    (r"(coders\.\d\.time\.\d)\.0\.", r"\1.attention."),
    (r"(coders\.\d\.time\.\d)\.1\.", r"\1.norm1."),
    (r"(coders\.\d\.time\.\d)\.2\.", r"\1.ffn."),
    (r"(coders\.\d\.time\.\d)\.3\.", r"\1.norm2."),
    (r"(coders\.\d\.pose\.\d)\.0\.", r"\1.time."),
    (r"(coders\.\d\.pose\.\d)\.1\.", r"\1.norm1."),
    (r"(coders\.\d\.pose\.\d)\.2\.", r"\1.scene."),
    (r"(coders\.\d\.pose\.\d)\.3\.", r"\1.norm2."),
    (r"(coders\.\d\.pose\.\d)\.4\.", r"\1.ffn."),
    (r"(coders\.\d\.pose\.\d)\.5\.", r"\1.norm3."),
    (r"\.in_proj_(weight|bias)$", r".inward.\1"),
    (r"\.out_proj\.", ".out."),
    (r"\.fc1\.", ".inward."),
    (r"\.fc2\.", ".out."),
    (r"\.ln\.", ".norm."),
    (r"^pose_encoder\.pose_encoder\.", "ego.encoder."),
    (r"^pose_decoder\.pose_decoder\.", "ego.decoder."),
)


def our_name(name: str) -> str:
    """The name here of a tensor of the original's state dict."""
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def looks_published(body: object) -> bool:
    """Is a loaded file a state dict as the reference code writes it, whole or of the tokenizer alone?"""
    return any("class_embeds" in name for name in _tensors(body))


def load_published(model: nn.Module, body: object) -> Intake:
    """Fill a model with what fits. body: a loaded `latest.pth`; of the tokenizer alone, names lack `vae.`."""
    own = model.state_dict()
    taken: dict[str, Tensor] = {}
    refused = []
    for original, tensor in _tensors(body).items():
        whole = original.startswith(("vae.", "module.vae.", "transformer.", "pose_", "module."))
        name = our_name(original if whole else f"vae.{original}")
        if name not in own:
            refused.append((original, "this model has no such part"))
        elif own[name].shape != tensor.shape:
            refused.append((original, f"it is {_shape(tensor)}, this model's is {_shape(own[name])}"))
        else:
            taken[name] = tensor
    model.load_state_dict(taken, strict=False)
    # The count of idle batches per code is ours, not a weight.
    missing = [name for name in own if name not in taken and name != "tokenizer.quantizer.idle"]
    return Intake(tuple(taken), tuple(refused), tuple(missing))


def numpy_scalars() -> list:
    """Types beside tensors in the reference code's files: its best scores are numpy numbers, under either name."""
    scalar = np.float64(0).__reduce__()[0]
    named = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType, *named]


def read_published(path: Path) -> object:
    """torch.load without running anything in the file, numpy numbers allowed; errors as of torch.load."""
    with torch.serialization.safe_globals(numpy_scalars()):
        return torch.load(path, map_location="cpu", weights_only=True)


def _tensors(body: object) -> dict[str, Tensor]:
    if isinstance(body, dict) and isinstance(body.get("state_dict"), dict):
        body = body["state_dict"]
    return {k: v for k, v in body.items() if isinstance(v, Tensor)} if isinstance(body, dict) else {}


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"
