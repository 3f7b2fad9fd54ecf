"""Images and pictures of models with convolutional networks, whose decoder may be autoregressive."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rungs.evaluation.evaluator import Evaluator
from rungs.evaluation.pictures import as_bytes
from rungs.evaluation.subsets import partners

#: images that pass the networks at once
ROWS = 100
#: keeps uniform noise off 0 and 1
TINY = 1e-6


def uniform(*shape: int, random: torch.Generator) -> Tensor:
    """Return uniform noise on (0, 1)."""
    return torch.rand(*shape, generator=random).clamp(TINY, 1 - TINY)


class ConvolutionalEvaluator(Evaluator):
    """Turns latents into images with the method ``image`` of the convolutional models."""

    def images(self, latents: Tensor, random: torch.Generator) -> Tensor:
        """Return images ``[n, pixels]`` of latents ``[n, ...]``.

        They are mean images, or draws where the decoder is autoregressive.
        """
        if self.has_mean_images:
            return torch.cat([self.model.image(part) for part in latents.split(ROWS)])
        shape = self.model.shape
        planes = (1 + shape.channels, shape.height, shape.width)
        noise = uniform(len(latents), *planes, random=random)
        drawn: Tensor = self.model.image(latents, noise)
        return drawn

    @property
    def has_mean_images(self) -> bool:
        """Return whether the decoder gives a mean image; one that draws pixel by pixel has none."""
        decoder: str = self.settings["network"]["decoder"]
        return decoder != "pixelcnn"

    def errors(self, originals: Tensor, latents: Tensor) -> dict[str, Tensor]:
        """Return the mean squared error of each mean image, ``mse [n]``, intensities from 0 to 1.

        There is none where the decoder is autoregressive: a draw of 784 pixels in turn costs as much as
        the rest of the evaluation, and its error is not that of a mean.

        Args:
            originals: ``[n, pixels]``.
            latents: of these images.
        """
        if not self.has_mean_images:
            return {}
        return {"mse": (self.model.image(latents) - originals).square().mean(-1)}

    def swapped(self, x: Tensor, latents: Tensor) -> Tensor:
        """Return ``log p(x|z)`` given another image's latents, ``[n]``, nats.

        What it falls short of that given the image's own is what the decoder owes to the latents.

        Args:
            x: images ``[n, pixels]``.
            latents: of these images, in their order.
        """
        strange = latents[torch.from_numpy(partners(len(x)))]
        parts = zip(x.split(ROWS), strange.split(ROWS), strict=True)
        return torch.cat([self.model.log_likelihood(part, other) for part, other in parts])

    def picture_arrays(
        self, originals: Tensor, latents: Tensor, drawn: Tensor, random: torch.Generator
    ) -> dict[str, Any]:
        """Return pictures, and the squared errors of the reconstructions.

        ``pictures/mse`` is the mean squared error of each, of intensities from 0 to 1.

        Args:
            originals: test images, ``[pictures, pixels]``.
            latents: of these images.
            drawn: latents from the prior.
        """
        # together: pixel by pixel, twice the images take little longer than half of them
        reconstructions, samples = self.images(torch.cat([latents, drawn]), random).split(
            [len(latents), len(drawn)]
        )
        return {
            "pictures/originals": as_bytes(originals),
            "pictures/reconstructions": as_bytes(reconstructions),
            "pictures/samples": as_bytes(samples),
            "pictures/mse": (reconstructions - originals).square().mean(-1),
        }
