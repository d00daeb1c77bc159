"""Class embedding, BEV fold and the convolutions next to it, without the 4.84 M embedded voxels in memory.

The paper embeds every voxel, folds height into channels (200 x 200 x 968 numbers a frame for 121 levels) and
convolves. Nearly all voxels are empty, and the convolution is linear: its result is that of an all-empty grid plus,
for each occupied voxel, the difference that it makes. The decoder's last convolution is likewise evaluated for chosen
columns only while training, and slab by slab when forecasting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occ_core.classes import FROM_OCC3D, NUM_CLASSES, OCC3D_FREE, TO_OCC3D
from occ_core.sparse_grid import SparseGrid

_SLAB_COLUMNS = 4096


@dataclass(frozen=True)
class ClassTable:
    """free: the id that stands for empty. into, out_of: (our ids,) and (its ids,) uint8, to and from our ids."""

    free: int
    into: np.ndarray
    out_of: np.ndarray

    def __len__(self) -> int:
        return len(self.out_of)

    @classmethod
    def of(cls, name: str) -> ClassTable:
        """name: 'tokyo', 'occ3d', or 'occ3d_itself': grids that hold 0 for free and else one more than Occ3D's id."""
        if name == "occ3d":
            return cls(OCC3D_FREE, TO_OCC3D, FROM_OCC3D)
        if name == "occ3d_itself":
            ids = np.arange(OCC3D_FREE + 1, dtype=np.uint8)
            return cls(OCC3D_FREE, np.roll(ids, 1), np.roll(ids, -1))
        same = np.arange(NUM_CLASSES, dtype=np.uint8)
        return cls(0, same, same)


class SparseFold(nn.Module):
    """Equals embedding every voxel, folding (z, e) into channels and a 3x3 convolution with padding 1.

    shape: (X, Y, Z) of the grid. embedding: the classes', shared with `ColumnHead`.
    """

    def __init__(self, shape: tuple[int, int, int], table: ClassTable, class_dim: int, channels: int) -> None:
        super().__init__()
        self.shape, self.table = shape, table
        self.embedding = nn.Embedding(len(table), class_dim)
        self.conv = nn.Conv2d(shape[2] * class_dim, channels, 3, padding=1)

    def forward(self, frames: list[SparseGrid]) -> Tensor:
        """(b, channels, X, Y) float32, under any autocast: a column is the sum of up to Z differences."""
        with torch.autocast(self.conv.weight.device.type, enabled=False):
            return self._folded(frames)

    def _folded(self, frames: list[SparseGrid]) -> Tensor:
        nx, ny, nz = self.shape
        device, weight = self.conv.weight.device, self.conv.weight
        kernel = weight.reshape(len(weight), nz, -1, 3, 3)
        free = torch.einsum("cZeij,e->cij", kernel, self.embedding.weight[self.table.free])
        out = F.conv2d(weight.new_ones(1, 1, nx, ny), free[:, None], self.conv.bias, padding=1)
        rows, offsets = (torch.from_numpy(part).to(device) for part in self._bags(frames))
        difference = self.embedding.weight - self.embedding.weight[self.table.free]
        padded = F.pad(out.expand(len(frames), -1, -1, -1), (1, 1, 1, 1)).permute(0, 2, 3, 1).contiguous()
        for i in range(3):
            for j in range(3):
                per_voxel = torch.einsum("ke,cze->kzc", difference, kernel[..., i, j]).flatten(0, 1)
                columns = F.embedding_bag(rows, per_voxel, offsets, mode="sum").reshape(len(frames), nx, ny, -1)
                # A voxel at x is seen through tap i by the output at x - (i - 1).
                padded[:, 2 - i : nx + 2 - i, 2 - j : ny + 2 - j] += columns
        return padded[:, 1:-1, 1:-1].permute(0, 3, 1, 2)

    def _bags(self, frames: list[SparseGrid]) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n,) int64 into a (classes * Z) table, in order of columns, and where each column begins."""
        nx, ny, nz = self.shape
        rows, counts = [], []
        for frame in frames:
            column, level = np.divmod(frame.voxels.astype(np.int64), nz)
            rows.append(self.table.into[frame.classes].astype(np.int64) * nz + level)
            counts.append(np.bincount(column, minlength=nx * ny))
        total = np.concatenate(counts)
        return np.concatenate(rows), np.concatenate([[0], np.cumsum(total)[:-1]])


class ColumnHead(nn.Module):
    """The decoder's last convolution and the match of every voxel with the class embeddings."""

    def __init__(self, channels: int, height: int, class_dim: int) -> None:
        super().__init__()
        self.height = height
        self.conv = nn.Conv2d(channels, height * class_dim, 3, padding=1)

    def forward(self, features: Tensor, chosen: Tensor, embedding: Tensor) -> Tensor:
        """Logits (m, Z, classes) of chosen columns. features: (b, c, X, Y). chosen: (m,) int64 into b * X * Y."""
        _b, c, nx, ny = features.shape
        padded = F.pad(features, (1, 1, 1, 1)).permute(0, 2, 3, 1).reshape(-1, c)
        frame, cell = chosen // (nx * ny), chosen % (nx * ny)
        corner = (frame * (nx + 2) + cell // ny) * (ny + 2) + cell % ny
        taps = torch.arange(3, device=chosen.device)
        near = (corner[:, None, None] + taps[:, None] * (ny + 2) + taps).flatten(1)
        patches = F.embedding(near, padded).flatten(1)
        weight = self.conv.weight.permute(0, 2, 3, 1).flatten(1)
        described = F.linear(patches, weight, self.conv.bias).unflatten(1, (self.height, -1))
        return described @ embedding.T

    def slabs(self, features: Tensor, embedding: Tensor):
        """Yields (columns, logits (m, Z, classes)) over one frame's features (1, c, X, Y): never all voxels at once."""
        columns = features.shape[2] * features.shape[3]
        for start in range(0, columns, _SLAB_COLUMNS):
            part = torch.arange(start, min(start + _SLAB_COLUMNS, columns), device=features.device)
            yield part, self(features, part, embedding)
