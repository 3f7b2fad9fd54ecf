"""What training maximises."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rungs.models.protocol import LatentVariableModel, draw_noise


@dataclass(frozen=True)
class Terms:
    """The terms of the ELBO of a batch, nats.

    Attributes:
        reconstruction: ``log p(x | z_1)``, ``[batch]``.
        kl: every unit's term, all layers side by side, bottom first, ``[batch, units]``.
        posterior_mean: the means of q in the same order, ``[batch, units]``.
    """

    reconstruction: Tensor
    kl: Tensor
    posterior_mean: Tensor

    def loss(self, kl_weight: float) -> Tensor:
        """The negative ELBO with its KL term weighted, averaged over the batch (a scalar).

        Warm-up lets the weight rise from 0 to 1 (Sonderby et al. 2016, eq. 20).
        """
        return kl_weight * self.kl.sum() / len(self.kl) - self.reconstruction.mean()


def elbo_terms(model: LatentVariableModel, x: Tensor, generator: torch.Generator) -> Terms:
    """The terms of the ELBO with one draw an image.

    Args:
        x: ``[batch, pixels]`` of zeros and ones.
    """
    noise = draw_noise(model.latent_sizes, len(x), generator=generator)
    layers = model.draw(model.encode(x), noise)
    return Terms(
        model.log_likelihood(x, layers[0].sample),
        torch.cat([layer.kl() for layer in layers], -1),
        torch.cat([layer.posterior.mean for layer in layers], -1),
    )


def kl_weight(epoch: int, warm_up: bool, warm_up_epochs: int) -> float:
    """The weight of the KL term in an epoch (counted from 0).

    Linear from 0 in the first epoch to 1 after ``warm_up_epochs``, then 1.

    >>> [kl_weight(e, True, 4) for e in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    return min(1.0, epoch / warm_up_epochs) if warm_up else 1.0


def learning_rate(step: int, steps: int, base: float, annealing: float) -> float:
    """The learning rate of a step: constant, then half a cosine to 0 over the share ``annealing``.

    >>> [round(learning_rate(s, 4, 1.0, 0.5), 3) for s in range(5)]
    [1.0, 1.0, 1.0, 0.5, 0.0]
    """
    falling = annealing * steps
    if step <= steps - falling:
        return base
    return base * 0.5 * (1 + math.cos(math.pi * (1 - (steps - step) / falling)))
