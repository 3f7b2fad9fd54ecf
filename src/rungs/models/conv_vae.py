"""The continuous VAE with the VQ-VAE's encoder and decoder (van den Oord et al. 2017, section 4.1).

A grid of Gaussian latents takes the place of the grid of codes. Its prior is standard Gaussian, as in the
paper, or a learnt mixture.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from rungs.data.image_shape import ImageShape
from rungs.errors import ConfigError
from rungs.models.convolutional import Encoder, to_planes
from rungs.models.networks import MIN_VARIANCE
from rungs.models.objectives import Variational
from rungs.models.pixel_decoder import PixelDecoder
from rungs.models.priors import MixturePrior
from rungs.models.protocol import Layer
from rungs.probability.gaussian import DiagonalGaussian, standard_gaussian_like


class ConvolutionalVAE(Variational, nn.Module):
    """A VAE ``p(x | z) p(z)`` in which z is a grid of ``latent_sizes[0]`` channels.

    Args:
        pixels: size of a flattened image.
        shape: the shape of the data set's images.
        latent_sizes: one number, the channels of the grid, i.e. the units of each position.
        convolutional: ``channels, residual_blocks, residual_channels, components``.
        decoder: ``convolutional`` or ``pixelcnn``.
        pixelcnn: ``channels, layers, reach``.
        prior: ``gaussian`` (standard) or ``mixture`` (learnt), whose components are densities of the whole
            grid.
        prior_components: of a mixture.

    Raises:
        ConfigError: for a prior that it cannot have, or without channels.
    """

    binary = False

    def __init__(
        self,
        pixels: int,
        shape: list[int],
        latent_sizes: list[int],
        convolutional: dict[str, Any],
        decoder: str,
        pixelcnn: dict[str, Any],
        prior: str = "gaussian",
        prior_components: int = 1,
    ) -> None:
        super().__init__()
        self.shape = ImageShape.of(shape)
        assert self.shape.pixels == pixels, f"{pixels} pixels are no images of {shape}"
        (self.latent_channels,) = latent_sizes
        if self.latent_channels < 1:
            raise ConfigError("conv-vae: latents counts channels of a grid; give at least 1.")
        if prior not in ("gaussian", "mixture"):
            raise ConfigError(
                f"network.prior {prior} is not available for conv-vae; use gaussian or mixture."
            )
        self.latent_sizes = [self.latent_channels * math.prod(self.shape.grid)]
        networks = {
            key: convolutional[key] for key in ("channels", "residual_blocks", "residual_channels")
        }
        self.encoder = Encoder(self.shape.channels, 2 * self.latent_channels, **networks)
        self.decoder = PixelDecoder(
            self.shape, self.latent_channels, convolutional, decoder, pixelcnn
        )
        (units,) = self.latent_sizes
        self.prior = MixturePrior(prior_components, units) if prior == "mixture" else None
        #: a draw from a mixture takes one number more, which picks the component
        self.noise_sizes = [units + int(self.prior is not None)]

    def as_grid(self, z: Tensor) -> Tensor:
        """Reshape ``[batch, units]`` to ``[batch, channels, h/4, w/4]``."""
        return z.unflatten(-1, (self.latent_channels, *self.shape.grid))

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """q(z | x) for ``x [batch, pixels]``: mean linear, variance softplus + 1e-5."""
        mean, raw = self.encoder(to_planes(x, self.shape)).flatten(1).chunk(2, -1)
        return DiagonalGaussian(mean, functional.softplus(raw) + MIN_VARIANCE)

    def draw(self, context: DiagonalGaussian, noise: list[Tensor]) -> list[Layer]:
        """A draw from q for noise ``[..., batch, units]``; what a row has beyond is ignored."""
        z = context.sample(noise[0][..., : self.latent_sizes[0]])
        if self.prior is None:
            return [Layer(z, context, standard_gaussian_like(context.mean), analytic=True)]
        return [Layer(z, context, self.prior(), analytic=False)]

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """``log p(x | z)`` for ``z [..., batch, units]``, ``[..., batch]``, nats."""
        flat = z.flatten(0, -2)
        repeated = x.expand(*z.shape[:-1], x.shape[-1]).flatten(0, -2)
        return self.decoder.log_likelihood(repeated, self.as_grid(flat)).unflatten(0, z.shape[:-1])

    def image(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """The image of ``z [batch, units]``; see :meth:`PixelDecoder.image`."""
        return self.decoder.image(self.as_grid(z), noise)

    def decode(self, z: Tensor) -> Tensor:
        """The mean image of p(x | z), ``[..., pixels]``; an autoregressive decoder has none."""
        return self.image(z.flatten(0, -2)).unflatten(0, z.shape[:-1])

    def generate(self, noise: list[Tensor]) -> list[Tensor]:
        """A draw from the prior for each ``noise [..., noise_sizes[0]]``."""
        return [noise[0] if self.prior is None else self.prior().sample(noise[0])]
