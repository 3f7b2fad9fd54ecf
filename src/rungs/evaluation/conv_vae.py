"""The evaluation of the continuous VAE with the VQ-VAE's networks.

Both models have the same discretised likelihood, so that their bounds compare. The arrays are those of
:mod:`rungs.evaluation.bounds`, :mod:`~rungs.evaluation.activity`, :mod:`~rungs.evaluation.aggregate` and
:mod:`~rungs.evaluation.convolutional`, and those of :meth:`ConvVAEEvaluator.draw_arrays`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rungs.evaluation.activity import unit_arrays
from rungs.evaluation.aggregate import aggregate_arrays
from rungs.evaluation.bounds import bound_arrays
from rungs.evaluation.convolutional import ROWS, ConvolutionalEvaluator
from rungs.evaluation.definitions import CONVOLUTIONAL_PICTURES
from rungs.evaluation.materials import Materials
from rungs.models.protocol import draw_noise, noise_sizes
from rungs.numerics.seeds import generator


class ConvVAEEvaluator(ConvolutionalEvaluator):
    """Measures VAEs with convolutional networks."""

    def arrays(self, materials: Materials) -> dict[str, Any]:
        """Return bounds, statistics of units, terms of one draw, pictures and aggregate posteriors."""
        model, settings = self.model, self.settings
        train, test = materials.train.x, materials.test.x
        found = {
            **bound_arrays(model, settings, materials, ROWS),
            **unit_arrays(model, settings, test, materials.evaluation),
            **self.draw_arrays(test),
            **aggregate_arrays(model, settings["seed"], materials.population.x, train, test, ROWS),
        }
        if materials.brief:
            return found
        return found | self.pictures(materials.test.shown(CONVOLUTIONAL_PICTURES))

    @torch.no_grad()
    def draw_arrays(self, x: Tensor) -> dict[str, Any]:
        """Return the terms of one draw of the latents of each of the test images ``x [n, pixels]``.

        ``test/reconstruction`` is ``log p(x|z)``, ``test/swapped`` the same given another image's draw,
        ``test/kl`` the KL divergence, all ``[n]``, nats. ``test/mse`` is the mean squared error of each
        image's reconstruction from the same draw, intensities from 0 to 1; autoregressive decoders have
        none.
        """
        model, random = self.model, generator(self.settings["seed"], "latents")
        layers = []
        for block in x.split(ROWS):
            noise = draw_noise(noise_sizes(model), len(block), generator=random)
            layers += model.draw(model.encode(block), noise)
        found: dict[str, list[Tensor]] = {}
        for block, layer in zip(x.split(ROWS), layers, strict=True):
            for name, value in {
                "reconstruction": model.log_likelihood(block, layer.sample),
                "kl": layer.kl().sum(-1),
                **self.errors(block, layer.sample),
            }.items():
                found.setdefault(name, []).append(value)
        arrays = {f"test/{name}": torch.cat(parts) for name, parts in found.items()}
        samples = torch.cat([layer.sample for layer in layers])
        return arrays | {"test/swapped": self.swapped(x, samples)}

    @torch.no_grad()
    def pictures(self, originals: Tensor) -> dict[str, Any]:
        """Return pictures of reconstructions and samples; see :meth:`picture_arrays`."""
        model, random = self.model, generator(self.settings["seed"], "pictures")
        noise = draw_noise(noise_sizes(model), len(originals), generator=random)
        (layer,) = model.draw(model.encode(originals), noise)
        drawn = draw_noise(noise_sizes(model), CONVOLUTIONAL_PICTURES, generator=random)
        return self.picture_arrays(originals, layer.sample, model.generate(drawn)[0], random)
