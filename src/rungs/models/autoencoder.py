"""The plain autoencoder, which has no distribution over codes or images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rungs.models.networks import MLP, Dense
from rungs.models.protocol import Objective


class Autoencoder(nn.Module):
    """An encoder f and a decoder g, trained by the squared error ``|x - g(f(x))|^2 / 2`` an image.

    Up to a constant the loss is the negative log-density of ``N(g(f(x)), I)``, but it is no likelihood:
    the model has no prior over codes.

    Args:
        pixels: size of a flattened image.
        latent_sizes: units of the code, a list of one number. With as many as pixels the code is
            unconstrained.
        hidden_sizes: units of the dense layers, a list of one number; ignored if ``linear``.
        linear: whether encoder and decoder are one affine map each. The best reconstruction then is
            that of as many principal components (Baldi and Hornik 1989), and the identity with as many
            units as pixels. Otherwise they are the networks of the VAEs, with a sigmoid on the output.
    """

    binary = False

    def __init__(
        self, pixels: int, latent_sizes: list[int], hidden_sizes: list[int], linear: bool
    ) -> None:
        super().__init__()
        self.latent_sizes = list(latent_sizes)
        self.linear = linear
        units, hidden = latent_sizes[0], hidden_sizes[0]
        self.encoder = None if linear else MLP(pixels, hidden, batch_norm=False)
        self.decoder = None if linear else MLP(units, hidden, batch_norm=False)
        self.code_outputs = Dense(pixels if linear else hidden, units, batch_norm=False)
        self.pixel_outputs = Dense(units if linear else hidden, pixels, batch_norm=False)

    def encode(self, x: Tensor) -> Tensor:
        """The code of ``x [batch, pixels]``, ``[batch, units]``."""
        code: Tensor = self.code_outputs(x if self.encoder is None else self.encoder(x))
        return code

    def outputs(self, z: Tensor) -> Tensor:
        """The reconstruction of a code, ``[..., pixels]``."""
        if self.decoder is None:
            linear: Tensor = self.pixel_outputs(z)
            return linear
        return torch.sigmoid(self.pixel_outputs(self.decoder(z)))

    def decode(self, z: Tensor) -> Tensor:
        """The reconstruction of a code as an image, from 0 to 1, ``[..., pixels]``."""
        return self.outputs(z).clamp(0, 1)

    def generate(self, noise: list[Tensor]) -> list[Tensor]:
        """Codes drawn from N(0, I), as if that were the prior."""
        return noise

    def training_noise(
        self, images: int, settings: Mapping[str, Any], generator: torch.Generator
    ) -> list[Tensor]:
        """The objective needs no random numbers."""
        return []

    def objective(
        self, x: Tensor, noise: list[Tensor], settings: Mapping[str, Any], kl_weight: Tensor | float
    ) -> Objective:
        """Half the squared error, summed over pixels, averaged over the batch."""
        code = self.encode(x)
        loss = 0.5 * functional.mse_loss(self.outputs(code), x, reduction="sum") / len(x)
        code = code.detach()
        return Objective(
            loss,
            {
                "objective": -loss.detach(),
                "units/mean": code.mean(0),
                "units/mean_square": code.square().mean(0),
            },
        )
