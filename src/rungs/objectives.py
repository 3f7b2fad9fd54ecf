"""What training maximises."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rungs.models.protocol import LatentVariableModel, draw_noise


@dataclass(frozen=True)
class Terms:
    """The terms of the objective of a batch, nats; ``...`` are draws.

    Attributes:
        reconstruction: ``log p(x | z_1)``, ``[..., batch]``.
        kl: every unit's term of the ELBO, all layers side by side, bottom first,
            ``[..., batch, units]``.
        posterior_mean: the means of q in the same order, ``[..., batch, units]``.
        log_ratio: ``log p(z) - log q(z|x)`` at the draws, ``[..., batch]``; only for the
            importance weighted objective, which has no use for an analytic KL.
    """

    reconstruction: Tensor
    kl: Tensor
    posterior_mean: Tensor
    log_ratio: Tensor | None = None

    def loss(self, kl_weight: float) -> Tensor:
        """The negative objective averaged over the batch (a scalar).

        With one importance sample it is the negative ELBO, averaged over Monte Carlo samples,
        the KL term weighted: warm-up lets the weight rise from 0 to 1 (Sonderby et al. 2016,
        eq. 20). With k importance samples, draws being ``[monte carlo, k]``, it is the negative
        ``log (1/k) sum_i w_i`` (Burda et al. 2016, eq. 8); the weight tempers ``p(z)/q(z|x)``.
        """
        if self.log_ratio is None:
            return kl_weight * self.kl.sum(-1).mean() - self.reconstruction.mean()
        log_weights = self.reconstruction + kl_weight * self.log_ratio
        bound = log_weights.logsumexp(-2) - math.log(log_weights.shape[-2])
        return -bound.mean()


def objective_terms(
    model: LatentVariableModel,
    x: Tensor,
    generator: torch.Generator,
    monte_carlo: int = 1,
    importance: int = 1,
) -> Terms:
    """The terms of the objective with ``monte_carlo`` times ``importance`` draws an image.

    Args:
        x: ``[batch, pixels]`` of zeros and ones.
    """
    draws = () if monte_carlo * importance == 1 else (monte_carlo, importance)
    noise = draw_noise(model.latent_sizes, *draws, len(x), generator=generator)
    layers = model.draw(model.encode(x), noise)
    ratio = None
    if importance > 1:
        ratio = torch.stack([layer.log_ratio().sum(-1) for layer in layers]).sum(0)
    # what is analytic in the top layer does not vary over draws
    return Terms(
        model.log_likelihood(x, layers[0].sample),
        torch.cat([layer.kl().expand_as(layer.sample) for layer in layers], -1),
        torch.cat([layer.posterior.mean.expand_as(layer.sample) for layer in layers], -1),
        ratio,
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
