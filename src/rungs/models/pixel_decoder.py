"""The likelihood p(x | z) of 256 intensities for a grid of latents, independent or autoregressive."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rungs.data.image_shape import ImageShape
from rungs.models.convolutional import Decoder, from_planes, to_planes
from rungs.models.pixelcnn import GatedPixelCNN
from rungs.probability.logistic_mixture import (
    logistic_mixture_log_likelihood,
    logistic_mixture_mean,
    logistic_mixture_sample,
    parameters_of,
)


class PixelDecoder(nn.Module):
    """A discretised mixture of logistics at every pixel (:mod:`rungs.probability.logistic_mixture`).

    Its parameters are the output of a convolutional decoder, or of a gated PixelCNN over the image that
    is conditioned on the decoder's output at every pixel.

    Args:
        code_dim: the channels of the latent grid.
        convolutional: ``channels, residual_blocks, residual_channels, components`` (of the mixture).
        decoder: ``convolutional`` or ``pixelcnn``.
        pixelcnn: ``channels, layers, reach`` of the PixelCNN; the decoder gives it as many channels.
    """

    def __init__(
        self,
        shape: ImageShape,
        code_dim: int,
        convolutional: dict[str, Any],
        decoder: str,
        pixelcnn: dict[str, Any],
    ) -> None:
        super().__init__()
        self.shape = shape
        networks = {
            key: convolutional[key] for key in ("channels", "residual_blocks", "residual_channels")
        }
        parameters = parameters_of(shape.channels, convolutional["components"])
        self.pixelcnn = None
        if decoder == "pixelcnn":
            given = pixelcnn["channels"]
            self.pixelcnn = GatedPixelCNN(
                shape.channels, parameters, given, pixelcnn["layers"], pixelcnn["reach"], given
            )
        outputs = parameters if self.pixelcnn is None else pixelcnn["channels"]
        self.decoder = Decoder(code_dim, outputs, **networks)

    def log_likelihood(self, x: Tensor, grid: Tensor) -> Tensor:
        """``log p(x | z)``, ``[batch]``, nats.

        Args:
            x: ``[batch, pixels]``, intensities from 0 to 1.
            grid: ``[batch, code_dim, h/4, w/4]``.
        """
        planes, parameters = to_planes(x, self.shape), self.decoder(grid)
        if self.pixelcnn is not None:
            parameters = self.pixelcnn(planes, parameters)
        return logistic_mixture_log_likelihood(planes, parameters)

    def image(self, grid: Tensor, noise: Tensor | None = None) -> Tensor:
        """The mean image or, for an autoregressive decoder, a draw, ``[batch, pixels]``.

        Args:
            noise: uniform, ``[batch, 1 + channels, h, w]``; only for an autoregressive decoder.

        Raises:
            ValueError: if an autoregressive decoder is given no noise.
        """
        parameters = self.decoder(grid)
        if self.pixelcnn is None:
            return from_planes(logistic_mixture_mean(parameters, self.shape.channels), self.shape)
        if noise is None:
            raise ValueError("an autoregressive decoder has no mean image: give noise")
        uniform = noise

        def draw(parameters: Tensor, row: int, column: int) -> Tensor:
            at = uniform[..., row : row + 1, column : column + 1]
            return logistic_mixture_sample(parameters, at)

        shape = self.shape
        empty = torch.zeros(len(grid), shape.channels, shape.height, shape.width)
        drawn = self.pixelcnn.sample(empty.to(grid), draw, parameters)
        return from_planes(drawn, shape)
