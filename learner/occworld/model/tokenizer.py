"""Scene tokenizer: folded grid, encoder and codebook of the fast model (stage 1)."""

from __future__ import annotations

from torch import nn

from occ_core.classes import NUM_CLASSES
from occ_core.grid import VoxelGrid
from occworld.model.encoder import Encoder2D
from occworld.model.patchify import SparsePatchify
from occworld.model.quantizer import Quantized, VectorQuantizer
from occworld.model_config import FastConfig
from occworld.packed import SparseFrame


class Tokenizer(nn.Module):
    """Sparse frames -> codes on a grid of half the folded grid's size."""

    def __init__(self, grid: VoxelGrid, config: FastConfig) -> None:
        super().__init__()
        self.fold = SparsePatchify(grid.shape, NUM_CLASSES, config.class_dim, config.patch, config.base_channel)
        self.encoder = Encoder2D(config.base_channel, config.code_dim)
        self.quantizer = VectorQuantizer(config.num_codes, config.code_dim, config.commitment)
        self.size = (-(-self.fold.size[0] // 2), -(-self.fold.size[1] // 2))

    def forward(self, frames: list[SparseFrame]) -> Quantized:
        """Tokens of each frame."""
        return self.quantizer(self.encoder(self.fold(frames)))
