"""The prior over the grid of codes, a gated PixelCNN (van den Oord et al. 2017, section 3.3).

It is trained on the codes of the training images after the VQ-VAE.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rungs.models.networks import Dense
from rungs.models.pixelcnn import GatedPixelCNN
from rungs.models.protocol import Objective
from rungs.probability.logistic_mixture import categorical_sample

#: a code is packed into two bytes, so that codes pass through the training loop as images of bytes
BYTES = 2
#: of the first convolution: a window of 7, as published
FIRST_REACH = 3


def pack_codes(codes: Tensor) -> Tensor:
    """Pack codes ``[n, positions]`` below 65,536 into uint8 ``[n, 2 positions]``, low bytes first."""
    return torch.cat([codes % 256, codes // 256], -1).to(torch.uint8)


def unpack_codes(x: Tensor) -> Tensor:
    """Unpack the codes of :func:`pack_codes` from bytes scaled to intensities from 0 to 1.

    Example:
        >>> unpack_codes(pack_codes(torch.tensor([[3, 511]])).float() / 255)
        tensor([[  3, 511]])
    """
    low, high = (255 * x).round().long().chunk(BYTES, -1)
    return low + 256 * high


class CodePrior(nn.Module):
    """The prior ``p(codes) = prod_i p(code_i | codes before it)`` in raster order.

    Args:
        pixels: the bytes of a grid, two a position.
        codes: K.
        grid: the height and width of the grid.
        channels: the channels of the PixelCNN and of the vectors that represent codes.
        layers: the gated layers of the PixelCNN.
        dropout: the share of the codes that are hidden from the network in training; they are still
            predicted.
    """

    binary = False

    def __init__(
        self,
        pixels: int,
        codes: int,
        grid: list[int],
        channels: int,
        layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        height, width = grid
        assert pixels == BYTES * height * width, f"{pixels} bytes are no grid of {grid}"
        self.code_count, self.grid, self.dropout = codes, (height, width), dropout
        self.embedding = Dense(codes, channels, batch_norm=False)
        self.network = GatedPixelCNN(channels, codes, channels, layers, FIRST_REACH)

    def embed(self, codes: Tensor) -> Tensor:
        """Represent codes ``[batch, h, w]`` as vectors ``[batch, channels, h, w]``."""
        rows = functional.embedding(codes, self.embedding.weight.T)
        assert self.embedding.bias is not None
        vectors: Tensor = rows + self.embedding.bias
        return vectors.movedim(-1, -3)

    def logits(self, codes: Tensor, seen: Tensor | None = None) -> Tensor:
        """The logits of every position given those before it, ``[batch, positions, codes]``.

        Args:
            codes: ``[batch, positions]``.
            seen: bool, ``[batch, positions]``: the codes that the network sees; all by default.
        """
        grid = self.embed(codes.unflatten(-1, self.grid))
        if seen is not None:
            grid = grid * seen.unflatten(-1, self.grid).unsqueeze(-3)
        logits: Tensor = self.network(grid)
        return logits.movedim(-3, -1).flatten(-3, -2)

    def log_prob(self, codes: Tensor, seen: Tensor | None = None) -> Tensor:
        """``log p(codes)`` of ``codes [batch, positions]``, ``[batch]``, nats."""
        logits = self.logits(codes, seen).flatten(0, -2)
        nats = functional.cross_entropy(logits, codes.flatten(), reduction="none")
        return -nats.view_as(codes).sum(-1)

    def sample(self, noise: Tensor) -> Tensor:
        """Draw codes ``[n, positions]`` from uniform ``noise [n, positions]``."""
        uniform = noise.unflatten(-1, self.grid)
        codes = torch.zeros(uniform.shape, dtype=torch.long, device=noise.device)

        def draw(logits: Tensor, row: int, column: int) -> Tensor:
            chosen = categorical_sample(logits[..., 0, 0], uniform[..., row, column])
            codes[..., row, column] = chosen
            return self.embed(chosen[..., None, None])

        empty = torch.zeros(len(noise), self.embedding.weight.shape[0], *self.grid)
        self.network.sample(empty.to(noise), draw)
        return codes.flatten(1)

    def training_noise(
        self, images: int, settings: Mapping[str, Any], generator: torch.Generator
    ) -> list[Tensor]:
        """Uniform ``[images, positions]``, to pick the codes that are hidden; none without dropout."""
        if not self.dropout:
            return []
        positions = self.grid[0] * self.grid[1]
        return [torch.rand(images, positions, generator=generator, device=generator.device)]

    def objective(
        self, x: Tensor, noise: list[Tensor], settings: Mapping[str, Any], kl_weight: Tensor | float
    ) -> Objective:
        """The log-likelihood of packed codes ``x [batch, pixels]``, nats a grid."""
        seen = noise[0] >= self.dropout if noise and self.training else None
        likelihood = self.log_prob(unpack_codes(x), seen).mean()
        return Objective(-likelihood, {"objective": likelihood.detach()})
