"""The plain autoencoder: a code, a reconstruction, no distribution over either."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rungs.models.networks import MLP, Dense
from rungs.models.protocol import Objective


class Autoencoder(nn.Module):
    """``g(f(x))`` trained by the L2 loss on intensities, ``|x - g(f(x))|^2 / 2`` an image.

    The loss is the negative log-density of ``N(g(f(x)), I)`` up to a constant, but nothing makes it a
    likelihood of anything: the model has no prior over codes.

    Args:
        pixels: size of a flattened image.
        latent_sizes: units of the code, a list of one. As many as pixels leave it unconstrained.
        hidden_sizes: units of the dense layers, a list of one; without use if ``linear``.
        linear: encoder and decoder are one affine map each. Its best reconstruction is that of as many
            principal components (Baldi and Hornik 1989), and with as many units as pixels the identity.
            Otherwise the networks of the VAEs, and a sigmoid on the output.
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
        self, images: int, settings: dict[str, Any], generator: torch.Generator
    ) -> list[Tensor]:
        """None is needed."""
        return []

    def objective(
        self, x: Tensor, noise: list[Tensor], settings: dict[str, Any], kl_weight: Tensor | float
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
