"""Widths and switches of the two models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


class ConfigError(Exception):
    """A configuration that can't be used: which key, in which file, and what to write instead."""


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"model.{name} is {' or '.join(repr(c) for c in choices)}, got '{value}'")


@dataclass(frozen=True)
class FaithfulConfig:
    """OccWorld as published.

    class_table: 'tokyo' (16 classes, 0 empty) or 'occ3d' (18 classes, 17 free, for published weights). class_dim: width
    of a class embedding. base_channel times channel_mult: widths of the autoencoder's levels, each with
    num_res_blocks. num_codes of code_dim: the codebook. The transformer is a U of num_layers levels above its middle,
    of width embed_dim, doubled at each level; temporal_attn_layers and pose_attn_layers per level. max_frames: the
    longest sequence that it may see. pose: 'twist' (13 numbers a frame: place, quaternion, velocities) or 'mode' (5
    numbers: the last step and left, right or straight on, for published weights). condition: 'none' forecasts its own
    ego motion, 'poses' is given the planned one.
    """

    architecture: str = "faithful"
    class_table: str = "tokyo"
    class_dim: int = 8
    base_channel: int = 64
    channel_mult: tuple[int, ...] = (1, 2, 4)
    num_res_blocks: int = 2
    num_codes: int = 512
    code_dim: int = 64
    commitment: float = 0.25
    embed_dim: int = 64
    num_layers: int = 2
    temporal_attn_layers: int = 6
    pose_attn_layers: int = 2
    num_heads: int = 8
    dropout: float = 0.1
    max_frames: int = 15
    pose: str = "twist"
    pose_hidden: int = 256
    pose_layers: int = 2
    condition: str = "none"

    def __post_init__(self) -> None:
        _one_of("condition", self.condition, ("none", "poses"))
        _one_of("class_table", self.class_table, ("tokyo", "occ3d"))
        _one_of("pose", self.pose, ("twist", "mode"))
        if self.embed_dim % self.num_heads:
            raise ConfigError(f"model.embed_dim {self.embed_dim} is not a multiple of num_heads {self.num_heads}")
        if self.embed_dim != self.code_dim:
            raise ConfigError(
                f"model.embed_dim {self.embed_dim} differs from code_dim {self.code_dim}: codes enter as they are"
            )


@dataclass(frozen=True)
class FastConfig:
    """A forecast that corrects the warped past.

    patch: columns per side that the BEV fold joins. base_channel: channels of encoder and decoder. code_dim: width
    of a code. num_layers blocks of temporal_attn_layers temporal and one spatial attention of embed_dim and num_heads.
    column_dim: features per column after the decoder. voxel_hidden: width of the voxel head. condition: 'none'
    forecasts its own ego motion, 'poses' is given the planned one.
    """

    architecture: str = "fast"
    class_dim: int = 8
    patch: int = 4
    base_channel: int = 64
    num_codes: int = 512
    code_dim: int = 64
    commitment: float = 0.25
    embed_dim: int = 64
    num_layers: int = 2
    temporal_attn_layers: int = 2
    num_heads: int = 8
    dropout: float = 0.1
    pose_hidden: int = 256
    pose_layers: int = 2
    column_dim: int = 32
    voxel_hidden: int = 32
    flow_channel: int = 16
    condition: str = "none"

    def __post_init__(self) -> None:
        _one_of("condition", self.condition, ("none", "poses"))
        if self.embed_dim % self.num_heads:
            raise ConfigError(f"model.embed_dim {self.embed_dim} is not a multiple of num_heads {self.num_heads}")


# The same in every fast model.
GROUP_CHANNELS = 8  # that are normalized together
WIDE_DILATIONS = (1, 2, 4)  # of the decoder's blocks, which reach into what the past does not cover
FLOW_STRIDE, FLOW_DILATIONS = 2, (1, 2, 4, 8)
# A heading that is off by a degree moves a wall at the grid's edge by two voxels: corrections are learned slowly.
GENTLY = 0.2

ModelConfig: TypeAlias = FaithfulConfig | FastConfig
