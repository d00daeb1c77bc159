"""Vector quantization with a straight-through gradient (van den Oord et al., 2017) and revival of dead codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


@dataclass(frozen=True)
class Quantized:
    """latents: (b, d, h, w), codes in the forward pass. codes: (b, h, w) int64. loss: codebook and commitment terms.

    use: part of the codebook that this batch used. perplexity: exp of the entropy of the codes.
    """

    latents: Tensor
    codes: Tensor
    loss: Tensor
    use: float
    perplexity: float


class VectorQuantizer(nn.Module):
    """Nearest code by squared distance. A code unused for `patience` training batches takes a latent of the batch."""

    idle: Tensor

    def __init__(self, num_codes: int, code_dim: int, commitment: float = 0.25, patience: int = 20) -> None:
        super().__init__()
        self.commitment, self.patience = commitment, patience
        self.codebook = nn.Parameter(torch.randn(num_codes, code_dim) * 0.1)
        self.register_buffer("idle", torch.zeros(num_codes, dtype=torch.int64))

    def forward(self, z: Tensor) -> Quantized:
        """z: (b, d, h, w) float. Computes in float32 under any autocast: half precision confuses neighbouring codes."""
        with torch.autocast(z.device.type, enabled=False):
            return self._quantized(z.float())

    def _quantized(self, z: Tensor) -> Quantized:
        flat = rearrange(z, "b d h w -> (b h w) d")
        codes = self.nearest(flat)
        # Never between a forward pass and its backward pass: labels are made without gradient.
        if self.training and torch.is_grad_enabled():
            self._revive(flat.detach(), codes)
            codes = self.nearest(flat)
        chosen = rearrange(self.codebook[codes], "(b h w) d -> b d h w", b=len(z), h=z.shape[2])
        loss = F.mse_loss(chosen, z.detach()) + self.commitment * F.mse_loss(z, chosen.detach())
        share = torch.bincount(codes, minlength=len(self.codebook)).float() / len(codes)
        entropy = -(share * torch.log(share.clamp_min(1e-12))).sum()
        return Quantized(
            latents=z + (chosen - z).detach(),
            codes=codes.reshape(z.shape[0], *z.shape[2:]),
            loss=loss,
            use=float((share > 0).float().mean()),
            perplexity=float(entropy.exp()),
        )

    @torch.no_grad()
    def nearest(self, flat: Tensor) -> Tensor:
        """flat: (n, d). Returns (n,) int64."""
        distance = self.codebook.pow(2).sum(1) - 2 * flat @ self.codebook.T
        return distance.argmin(dim=1)

    def expected(self, logits: Tensor) -> Tensor:
        """Mean code under logits (b, codes, h, w). Returns (b, d, h, w)."""
        # Codes last, as the transformer lays them out: a softmax across them reads memory in its order.
        return (logits.permute(0, 2, 3, 1).softmax(dim=3) @ self.codebook).permute(0, 3, 1, 2)

    @torch.no_grad()
    def _revive(self, flat: Tensor, codes: Tensor) -> None:
        used = torch.bincount(codes, minlength=len(self.codebook))
        if dist.is_initialized():
            dist.all_reduce(used)
        self.idle[used > 0] = 0
        self.idle[used == 0] += 1
        dead = torch.nonzero(self.idle >= self.patience).flatten()
        if len(dead):
            fresh = flat[torch.randint(len(flat), (len(dead),), device=flat.device)]
            if dist.is_initialized():
                # Every process must revive with the same latents, or the codebooks drift apart.
                dist.broadcast(fresh, 0)
            self.codebook[dead] = fresh
            self.idle[dead] = 0
