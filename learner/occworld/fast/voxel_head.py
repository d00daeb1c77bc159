"""Occupancy and class of single voxels: only those that may be occupied are ever looked at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occworld.fast.candidates import CLASS_SKIP, GATE, SKIP_LOGIT
from occworld.hindcast import NEWS, SIGNS, STRATA

_EMPTY_LOGIT = -3.0
_SEEN_EMPTY_LOGIT = -6.0


@dataclass(frozen=True)
class VoxelQuery:
    """Which voxels of a frame to judge, and what the past says there.

    voxels: (n,) int64 flat. features: (n, f) float32, None where there is no evidence. proposal: (n,) int64 class
    nearby, 0 none. skip: (n,) bool. row: of the head's tables: the further ahead, and the less sure the ego motion, the
    less the past is worth. stratum: (n,) int64, and signs: (STRATA, SIGNS) float32, what `hindcast.signs` says of each;
    None where the perceptron is to be asked alone.
    """

    voxels: Tensor
    features: Tensor | None
    proposal: Tensor
    skip: Tensor
    row: int = 0
    stratum: Tensor | None = None
    signs: Tensor | None = None


@dataclass(frozen=True)
class VoxelLogits:
    """occupied: (n,) logit. classes: (n, classes) logits; that of 'empty' is very low."""

    occupied: Tensor
    classes: Tensor


class VoxelHead(nn.Module):
    """A perceptron over column features, height, proposal and evidence; class logits by dot product with embeddings.

    Its last layer is zero at first, so that the first forecast is the warp baseline. threshold: (rows, classes), the
    logit above which a voxel that would be named so is occupied.
    """

    threshold: Tensor
    gate: Tensor
    prior_gate: Tensor
    naming: Tensor
    named_right: Tensor
    missed: Tensor

    def __init__(self, height: int, classes: int, features: int, column_dim: int, hidden: int, class_dim: int,
                 rows: int) -> None:  # fmt: skip
        super().__init__()
        self.height = height
        self.from_column = nn.Conv2d(column_dim, hidden, 1)
        self.from_features = nn.Linear(features, hidden, bias=False)
        self.from_height = nn.Parameter(torch.randn(height, hidden) * 0.1)
        self.from_proposal = nn.Parameter(torch.randn(classes, hidden) * 0.1)
        self.from_horizon = nn.Parameter(torch.randn(rows, hidden) * 0.1)
        self.middle = nn.Linear(hidden, hidden)
        # One last layer per row: doubt about the far future must not wear away what is certain in half a second.
        self.out_weight = nn.Parameter(torch.zeros(rows, 1 + class_dim, hidden))
        self.out_bias = nn.Parameter(torch.zeros(rows, 1 + class_dim))
        # Of columns that no past frame covers, and of those that one does: there only what stood near nothing is left.
        self.prior, self.seen_prior = (nn.Conv2d(column_dim, height, 1) for _ in range(2))
        for layer, empty in ((self.prior, _EMPTY_LOGIT), (self.seen_prior, _SEEN_EMPTY_LOGIT)):
            for values, start in zip(layer.parameters(), (0.0, empty), strict=True):
                nn.init.constant_(values, start)

        # What is made of the perceptron's logit, and of what came true of the past in this scene.
        self.register_buffer("gate", torch.tensor(GATE).repeat(rows, STRATA, 1))
        # The same for the priors of columns that no past frame covers, and of those that one does.
        self.register_buffer("prior_gate", torch.tensor(GATE).repeat(rows, 2, 1))
        # How much the perceptron has to say against the class that is nearby in the past.
        self.register_buffer("naming", torch.ones(rows))
        # What `decided` needs to know; names that are never right: voxels are kept by their threshold alone.
        self.register_buffer("named_right", torch.zeros(rows, classes))
        self.register_buffer("missed", torch.ones(rows, classes))
        self.register_buffer("threshold", torch.zeros(rows, classes))

    def project(self, columns: Tensor) -> Tensor:
        """Column features (1, column_dim, X, Y) -> (X * Y, hidden), once per frame."""
        layer = self.from_column
        return F.linear(columns[0].flatten(1).T, layer.weight[:, :, 0, 0], layer.bias)

    def column_prior(self, columns: Tensor, chosen: Tensor, seen: bool) -> Tensor:
        """Occupancy logits (m, Z) of columns, for voxels without evidence. chosen: (m,) flat columns. seen: does a past
        frame cover them?"""
        layer = self.seen_prior if seen else self.prior
        return F.linear(columns[0].flatten(1)[:, chosen].T, layer.weight[:, :, 0, 0], layer.bias)

    def forward(self, projected: Tensor, query: VoxelQuery, embedding: Tensor) -> VoxelLogits:
        """projected: (X * Y, hidden). embedding: (classes, e)."""
        occupied, described = self.judge(projected, query)
        return VoxelLogits(occupied, self.name(described, query.proposal, embedding))

    def judge(self, projected: Tensor, query: VoxelQuery) -> tuple[Tensor, Tensor]:
        """Occupancy logits (n,) and what to name the voxels by, (n, e)."""
        column = torch.div(query.voxels, self.height, rounding_mode="floor")
        level = query.voxels - column * self.height
        # Height, proposal and horizon have few values: one small table of their sums is read once per voxel.
        table = self.from_proposal[:, None] + self.from_height + self.from_horizon[query.row]
        h = F.embedding(column, projected)
        h += F.embedding(query.proposal * self.height + level, table.flatten(0, 1))
        if query.features is not None:
            h = torch.addmm(h, query.features, self.from_features.weight.T)
        h = F.relu(self.middle(F.relu(h, inplace=True)), inplace=True)
        out = F.linear(h, self.out_weight[query.row], self.out_bias[query.row])
        occupied = out[:, 0] + SKIP_LOGIT * (2.0 * query.skip - 1.0)
        described = out[:, 1:] if query.stratum is None else self.naming[query.row] * out[:, 1:]
        return self.gated(occupied, query), described

    def gated(self, logit: Tensor, query: VoxelQuery) -> Tensor:
        """(n,): the perceptron's logits (n,) beside what the past was worth in this very scene."""
        if query.stratum is None or query.signs is None:
            return logit
        worth, scale = self.weighed(query.row, query.signs)
        return worth[query.stratum] + scale[query.stratum] * logit

    def weighed(self, row: int, signs: Tensor) -> tuple[Tensor, Tensor]:
        """Of each stratum in a scene, (STRATA,): what is added to the perceptron's logit, and how much that counts.
        signs: (STRATA, SIGNS)."""
        gate = self.gate[row]
        return (gate[:, :SIGNS] * signs).sum(dim=1), gate[:, SIGNS]

    def weighed_prior(self, row: int, seen: bool, signs: Tensor) -> tuple[Tensor, Tensor]:
        """As `weighed`, two numbers, for the logits of `column_prior`."""
        gate = self.prior_gate[row, int(seen)]
        return gate[:SIGNS] @ signs[NEWS], gate[SIGNS]

    @staticmethod
    def name(described: Tensor, proposal: Tensor, embedding: Tensor) -> Tensor:
        """Class logits (n, classes) by dot product; the proposal is favoured and 'empty' left out."""
        classes = described @ embedding.T
        favour = torch.full_like(classes[:, :1], CLASS_SKIP)
        classes = classes.scatter_add(1, proposal[:, None], favour)
        return torch.cat([classes[:, :1] - 1e4, classes[:, 1:]], dim=1)
