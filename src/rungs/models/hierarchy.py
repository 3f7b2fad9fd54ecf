"""The generative model p(x, z) of the bottom-up and of the ladder VAE."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rungs.models.networks import MLP, Dense, GaussianMLP
from rungs.models.objectives import Variational
from rungs.probability.bernoulli import bernoulli_log_likelihood
from rungs.probability.gaussian import (
    DiagonalGaussian,
    standard_gaussian_like,
)

#: the least probability of black or white at which the bias of a pixel starts, as released
RAREST = 1e-3
#: images that are added up at once
ROWS = 1000


def top_down_networks(
    latent_sizes: list[int], hidden_sizes: list[int], batch_norm: bool, activation: str
) -> nn.ModuleList:
    """The networks from z_{i+1} to z_i, bottom first; each has the hidden size of level i+1."""
    return nn.ModuleList(
        GaussianMLP(above, hidden, below, batch_norm, activation)
        for below, above, hidden in zip(
            latent_sizes, latent_sizes[1:], hidden_sizes[1:], strict=False
        )
    )


class Hierarchy(Variational, nn.Module):
    """``p(x|z_1) p(z_1|z_2) ... p(z_d)`` with Gaussian latents and Bernoulli pixels.

    Args:
        pixels: size of a flattened image.
        latent_sizes: units of z_1 to z_d.
        hidden_sizes: units of the networks of levels 1 to d.
        batch_norm: whether every dense layer but the pixels' is batch-normalised.
        activation: of the hidden units, a key of :data:`rungs.models.networks.ACTIVATIONS`.
        pixel_bias: where the bias of the pixels' logits starts, ``zero`` or ``average``, the logit of the
            average training image (Burda et al. 2016, their release).

    Raises:
        ValueError: if there are not as many hidden sizes as latent ones.
    """

    def __init__(
        self,
        pixels: int,
        latent_sizes: list[int],
        hidden_sizes: list[int],
        batch_norm: bool,
        activation: str = "leaky",
        pixel_bias: str = "zero",
    ) -> None:
        super().__init__()
        if len(latent_sizes) != len(hidden_sizes):
            raise ValueError(
                f"expected as many hidden_sizes as latent_sizes, got {hidden_sizes} and {latent_sizes}"
            )
        self.pixels = pixels
        self.latent_sizes = list(latent_sizes)
        self.hidden_sizes = list(hidden_sizes)
        self.batch_norm = batch_norm
        self.activation, self.pixel_bias = activation, pixel_bias
        self.top_down = self.new_top_down()
        self.decoder = MLP(self.latent_sizes[0], self.hidden_sizes[0], batch_norm, activation)
        self.pixel_logits = Dense(self.hidden_sizes[0], pixels, batch_norm=False)

    def new_top_down(self) -> nn.ModuleList:
        """Top-down networks of the model's sizes."""
        return top_down_networks(
            self.latent_sizes, self.hidden_sizes, self.batch_norm, self.activation
        )

    @torch.no_grad()
    def start_at(self, images: Tensor) -> None:
        """Start the pixels' bias at the average of the images, where the model's settings say so."""
        if self.pixel_bias == "average" and self.pixel_logits.bias is not None:
            white = torch.stack([part.sum(0) for part in images.split(ROWS)]).sum(0)
            average = white / (255 * len(images))
            self.pixel_logits.bias.copy_(average.clamp(RAREST, 1 - RAREST).logit())

    def logits(self, z: Tensor) -> Tensor:
        """Logits of p(x | z_1), ``[..., pixels]``."""
        logits: Tensor = self.pixel_logits(self.decoder(z))
        return logits

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """``log p(x | z_1)``, ``[..., batch]``, nats."""
        if torch.is_grad_enabled():
            return bernoulli_log_likelihood(x, self.logits(z))
        products = self.pixel_logits.product(self.decoder(z), self.pixel_logits.weight)
        return bernoulli_log_likelihood(x, products, self.pixel_logits.bias)

    def decode(self, z: Tensor) -> Tensor:
        """The mean image of p(x | z_1), ``[..., pixels]``."""
        return torch.sigmoid(self.logits(z))

    def generate(self, noise: list[Tensor]) -> list[Tensor]:
        """Ancestral samples from the prior, bottom layer first, one for each noise."""
        latents = [noise[-1]]
        for network, epsilon in zip(reversed(self.top_down), reversed(noise[:-1]), strict=True):
            prior: DiagonalGaussian = network(latents[0])
            latents.insert(0, prior.sample(epsilon))
        return latents

    def priors(self, latents: list[Tensor]) -> list[DiagonalGaussian]:
        """p(z_i | z_{i+1}) of every layer at the given latents, bottom first."""
        below = [network(z) for network, z in zip(self.top_down, latents[1:], strict=True)]
        return [*below, standard_gaussian_like(latents[-1])]
