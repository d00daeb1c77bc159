"""Stage 1 of the fast model: class embedding, bird's-eye fold and strided convolution in one sparse step, and codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occ_core.classes import NUM_CLASSES
from occ_core.grid import VoxelGrid
from occ_core.loops import loop
from occ_core.sparse_grid import SparseGrid
from occworld.fast.autoencoder import BevEncoder
from occworld.fast.maps import class_rows
from occworld.layers.quantizer import Quantized, VectorQuantizer
from occworld.model_config import FastConfig


@dataclass(frozen=True)
class PatchIndex:
    """rows: (n,) int64 into the table, ordered by patch. offsets: (b * h * w,) int64, where each patch begins."""

    rows: Tensor
    offsets: Tensor


class SparsePatchify(nn.Module):
    """Equals embedding every voxel, folding z into channels and a convolution of kernel = stride = patch.

    The embedding of 'empty' is zero, so only occupied voxels add anything: the composite kernel of a voxel depends on
    (class, z, dx, dy) alone, and a patch is the sum of its voxels' rows. class_embedding: (classes, e).
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, class_dim: int, patch: int, channels: int) -> None:
        super().__init__()
        if shape[0] % patch or shape[1] % patch:
            raise ValueError(f"a grid of {shape[0]} x {shape[1]} columns does not divide into patches of {patch}")
        self.shape, self.patch, self.channels = shape, patch, channels
        self.size = (shape[0] // patch, shape[1] // patch)
        embedding = torch.randn(classes, class_dim)
        embedding[0] = 0
        self.class_embedding = nn.Parameter(embedding)
        # A patch holds some tens of voxels: scaled so that their sum is about one.
        self.kernel = nn.Parameter(torch.randn(class_dim, shape[2], patch, patch, channels) / (8 * class_dim**0.5))
        self.bias = nn.Parameter(torch.zeros(channels))

    def embedding(self) -> Tensor:
        """(classes, e): the class embeddings with that of 'empty' held at zero."""
        return torch.cat([torch.zeros_like(self.class_embedding[:1]), self.class_embedding[1:]])

    def index(self, frames: list[SparseGrid]) -> PatchIndex:
        """Where the voxels of some frames stand in the table, grouped by patch."""
        _nx, ny, nz = self.shape
        h, w = self.size
        p = self.patch
        rows, patches, first = [], [], class_rows(nz)
        for b, frame in enumerate(frames):
            column, z = np.divmod(frame.voxels.astype(np.int64), nz)
            x, y = np.divmod(column, ny)
            patches.append((b * h + x // p) * w + y // p)
            rows.append(((first[frame.classes] + z) * p + x % p) * p + y % p)
        patch = np.concatenate(patches)
        offsets = np.zeros(len(frames) * h * w, np.int64)
        np.cumsum(np.bincount(patch, minlength=len(offsets))[:-1], out=offsets[1:])
        grouped = np.empty(len(patch), np.int64)
        _group(np.concatenate(rows), patch, offsets.copy(), grouped)
        device = self.kernel.device
        return PatchIndex(torch.from_numpy(grouped).to(device), torch.from_numpy(offsets).to(device))

    def table(self) -> Tensor:
        """(classes * Z * patch * patch, c): what a voxel adds to its patch, by class, level and place in it."""
        return torch.einsum("ke,ezxyc->kzxyc", self.embedding(), self.kernel).reshape(-1, self.channels)

    def forward(self, frames: list[SparseGrid]) -> Tensor:
        """(b, c, h, w) float32."""
        index = self.index(frames)
        out = F.embedding_bag(index.rows, self.table(), index.offsets, mode="sum") + self.bias
        return out.reshape(len(frames), *self.size, self.channels).permute(0, 3, 1, 2).contiguous()


@loop
def _group(rows, patch, ends, out):
    """Rows by patch, in their order in each. ends: where each patch begins."""
    for n in range(len(rows)):
        out[ends[patch[n]]] = rows[n]
        ends[patch[n]] += 1


class PatchTokenizer(nn.Module):
    """Sparse frames -> codes on a grid of half the folded grid's size."""

    def __init__(self, grid: VoxelGrid, config: FastConfig) -> None:
        super().__init__()
        self.fold = SparsePatchify(grid.shape, NUM_CLASSES, config.class_dim, config.patch, config.base_channel)
        self.encoder = BevEncoder(config.base_channel, config.code_dim)
        self.quantizer = VectorQuantizer(config.num_codes, config.code_dim, config.commitment)
        self.size = (-(-self.fold.size[0] // 2), -(-self.fold.size[1] // 2))

    def forward(self, frames: list[SparseGrid]) -> Quantized:
        """Tokens of each frame."""
        return self.quantizer(self.encoder(self.fold(frames)))
