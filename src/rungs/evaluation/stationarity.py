"""How the reconstruction changes with the scale of each latent, the condition of the variance law.

``R_j = E[z_j d/dz_j log p(x|z)]``, over the training images and z drawn from q(z|x), is the derivative of
the expected reconstruction by the logarithm of the scale of latent j at the decoder's input. The decoder
is stationary in scale where R = 0, and the encoder where ``S - 1 = R`` (``docs/moments.md``).

The array ``stationarity/r [batches, units]``, nats, has R as :data:`BATCHES` times independent draws give
it, each over all training images, which are the population: its spread is the error of the draws alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rungs.data.binarise import model_input
from rungs.evaluation.materials import Materials
from rungs.numerics.seeds import generator
from rungs.probability.gaussian import DiagonalGaussian
from rungs.study.settings import RunSettings

#: independent estimates of R
BATCHES = 20


def scale_derivatives(model: Any, x: Tensor, posterior: DiagonalGaussian, noise: Tensor) -> Tensor:
    """Return ``z_j d/dz_j log p(x|z)``, the mean of an antithetic pair of draws, ``[n, units]``, nats.

    The part of it that is odd in the noise, most of its variance, cancels in the pair.

    Args:
        model: its decoder is differentiated at its input.
        x: ``[n, pixels]``.
        noise: standard Gaussian, ``[n, units]``; the draws are those of the noise and of its negative.
    """
    total = torch.zeros_like(noise)
    for sign in (1, -1):
        z = posterior.sample(sign * noise).detach().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(model.log_likelihood(x, z).sum(), z)
        total += 0.5 * z.detach() * slope
    return total


def stationarity_arrays(model: Any, settings: RunSettings, materials: Materials) -> dict[str, Any]:
    """Return ``stationarity/r`` where the configuration asks for it and the prior is N(0, I).

    Every pair of draws has a binarisation of its own, which is as training sees the images.
    """
    evaluation = materials.evaluation
    pairs = evaluation.get("stationarity_pairs", 0)
    if pairs == 0 or model.units not in evaluation.get("stationarity_latents", ()):
        return {}
    if settings["network"]["prior"] != "gaussian" or settings["network"]["posterior"] != "diagonal":
        return {}
    images = materials.training_images()
    random = generator(settings["seed"], "stationarity")
    sums = torch.zeros(BATCHES, model.units, dtype=torch.float64)
    for pair in range(pairs):
        for block in images.split(evaluation["chunk_rows"]):
            x = model_input(block, random, materials.binary)
            noise = torch.randn(len(x), model.units, generator=random)
            with torch.no_grad():
                posterior = model.posterior(x)
            found = scale_derivatives(model, x, posterior, noise)
            sums[pair % BATCHES] += found.double().sum(0)
    return {"stationarity/r": (sums / (pairs // BATCHES * len(images))).numpy()}
