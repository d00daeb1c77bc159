"""Ego motion as pose tokens: a token a frame in, a step to the next frame out.

Without a plan a frame's token tells where it is; with one (`condition: poses`) it tells where the next frame will be,
so that the transformer forecasts the scene for the motion that is meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from occworld import motion as motions
from occworld.motion import POSE_DIM

MODES = 3  # right, left, straight on
_TURN_M = 2.0  # sideways within the plan, beyond which it counts as a turn


@dataclass(frozen=True)
class EgoTrack:
    """Consecutive frames of a drive. footprint: (n, 4) x y z yaw in the current frame. twist: (n, 13) float32, as
    `relative_poses` gives."""

    footprint: np.ndarray
    twist: np.ndarray

    def extended(self, step: np.ndarray, period: float) -> EgoTrack:
        """One imagined frame more, a step (4,) from the last; velocities are those of the step."""
        place = motions.compose(self.footprint[-1], step)
        row = self.twist[-1].copy()
        row[:3] += (place[:3] - self.footprint[-1][:3]) / 10
        row[3:7] = [np.cos(place[3] / 2), 0, 0, np.sin(place[3] / 2)]
        row[7:10], row[10:13] = step[:3] / period / 10, [0, 0, step[3] / period]
        return EgoTrack(np.vstack([self.footprint, place]), np.vstack([self.twist, row]))

    @property
    def steps(self) -> np.ndarray:
        """(n, 4): from the frame before each; the first is taken to be as the second."""
        steps = motions.between(self.footprint[:-1], self.footprint[1:])
        return np.concatenate([steps[:1], steps])


def _last_steps(tracks: list[EgoTrack], tokens: Tensor) -> Tensor:
    return torch.from_numpy(np.stack([track.steps[-tokens.shape[1] :] for track in tracks])).to(tokens)


def _perceptron(inward: int, hidden: int, out: int, layers: int) -> nn.Sequential:
    widths = [inward] + [hidden] * (layers - 1)
    inner = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*inner, nn.Linear(widths[-1], out))


class TwistTokens(nn.Module):
    """13 numbers a frame in; out the correction to the last step, x y z yaw, zero at first."""

    def __init__(self, dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.encoder = _perceptron(POSE_DIM, hidden, dim, layers)
        self.decoder = _perceptron(dim, hidden, 4, layers)
        for values in self.decoder[-1].parameters():
            nn.init.zeros_(values)

    def embed(self, tracks: list[EgoTrack]) -> Tensor:
        """(b, n, dim)."""
        inputs = np.stack([track.twist for track in tracks]).astype(np.float32)
        return self.encoder(torch.tensor(inputs).to(next(self.parameters()).device))

    def next_steps(self, tokens: Tensor, tracks: list[EgoTrack]) -> Tensor:
        """(b, n, 4): the step after each of the last n frames. tokens: (b, n, dim), as they leave the transformer."""
        return _last_steps(tracks, tokens) + self.decoder(tokens)


class ModeTokens(nn.Module):
    """As published: the last step (right, forward, metres) and one of three modes in; a step for each mode out.

    Height and yaw, which these weights do not know, go on as in the last step.
    """

    def __init__(self, dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.encoder = _perceptron(2 + MODES, hidden, dim, layers)
        self.decoder = _perceptron(dim, hidden, 2 * MODES, layers)

    def embed(self, tracks: list[EgoTrack]) -> Tensor:
        """(b, n, dim)."""
        rows = []
        for track in tracks:
            steps = track.steps
            mode = np.tile(np.eye(MODES)[self.mode(track)], (len(steps), 1))
            rows.append(np.concatenate([-steps[:, 1:2], steps[:, 0:1], mode], axis=1))
        inputs = torch.tensor(np.stack(rows).astype(np.float32))
        return self.encoder(inputs.to(next(self.parameters()).device))

    def next_steps(self, tokens: Tensor, tracks: list[EgoTrack]) -> Tensor:
        """(b, n, 4): the step after each of the last n frames. tokens: (b, n, dim), as they leave the transformer."""
        decoded = self.decoder(tokens).unflatten(-1, (MODES, 2))
        chosen = torch.stack([d[:, self.mode(track)] for d, track in zip(decoded, tracks, strict=True)])
        last = _last_steps(tracks, tokens)
        return torch.stack([chosen[..., 1], -chosen[..., 0], last[..., 2], last[..., 3]], dim=-1)

    @staticmethod
    def mode(track: EgoTrack) -> int:
        """By how far the last frame is to the side: 0 right, 1 left, 2 straight on (as VAD labels nuScenes)."""
        side = track.footprint[-1][1] - track.footprint[0][1]
        return 0 if side < -_TURN_M else 1 if side > _TURN_M else 2
