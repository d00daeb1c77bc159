"""The scene tokenizer (stage 1): a frame to a map of codes and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import SparseGrid
from occworld.faithful.autoencoder import Decoder2D, Encoder2D
from occworld.faithful.fold import ClassTable, ColumnHead, SparseFold
from occworld.layers.quantizer import Quantized, VectorQuantizer
from occworld.model_config import FaithfulConfig


class Tokenizer(nn.Module):
    """VQ-VAE over the bird's-eye view. size: of the map of codes."""

    def __init__(self, grid: VoxelGrid, config: FaithfulConfig) -> None:
        super().__init__()
        c, mult = config, tuple(config.channel_mult)
        self.table = ClassTable.of(c.class_table)
        self.fold = SparseFold(grid.shape, self.table, c.class_dim, c.base_channel)
        self.encoder = Encoder2D(c.base_channel, mult, c.num_res_blocks, c.code_dim)
        self.to_code, self.from_code = nn.Conv2d(c.code_dim, c.code_dim, 1), nn.Conv2d(c.code_dim, c.code_dim, 1)
        self.quantizer = VectorQuantizer(c.num_codes, c.code_dim, c.commitment)
        self.decoder = Decoder2D(c.base_channel, mult, c.num_res_blocks, c.code_dim, grid.shape[:2])
        self.head = ColumnHead(c.base_channel * mult[0], grid.shape[2], c.class_dim)
        self.size = self.decoder.sizes[-1]

    def encode(self, frames: list[SparseGrid]) -> Quantized:
        """Codes of each frame."""
        return self.quantizer(self.to_code(self.encoder(self.fold(frames))))

    def encode_in_parts(self, frames: list[SparseGrid], at_once: int = 4) -> Quantized:
        """As `encode` without gradients, a few frames at a time: full-resolution features of ten frames need 3 GB."""
        with torch.no_grad():
            parts = [self.encode(frames[i : i + at_once]) for i in range(0, len(frames), at_once)]
        codes = torch.cat([part.codes for part in parts])
        share = torch.bincount(codes.flatten(), minlength=len(self.quantizer.codebook)).float() / codes.numel()
        entropy = -(share * torch.log(share.clamp_min(1e-12))).sum()
        return Quantized(
            latents=torch.cat([part.latents for part in parts]),
            codes=codes,
            loss=torch.stack([part.loss for part in parts]).mean(),
            use=float((share > 0).float().mean()),
            perplexity=float(entropy.exp()),
        )

    def decode(self, latents: Tensor) -> Tensor:
        """Features (b, c, X, Y) of latents (b, d, h, w), for `head`."""
        return self.decoder(self.from_code(latents))

    @property
    def embedding(self) -> Tensor:
        """(classes, e)."""
        return self.fold.embedding.weight
