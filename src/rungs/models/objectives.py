"""What training maximises."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rungs.models.protocol import LatentVariableModel, Layer, Objective, draw_noise
from rungs.probability.gaussian import DiagonalGaussian


@dataclass(frozen=True)
class Terms:
    """The terms of the objective of a batch, nats; ``...`` are draws.

    Attributes:
        reconstruction: ``log p(x | z_1)``, ``[..., batch]``.
        kl: the terms of the ELBO, all layers side by side, bottom first, ``[..., batch, terms]``:
            one a unit, but one for the whole layer where prior or posterior do not factorise.
        posterior_mean: the means of q in the same order, ``[..., batch, units]``.
        log_ratio: ``log p(z) - log q(z|x)`` at the draws, ``[..., batch]``; only for the
            importance weighted objective, which has no use for an analytic KL.
    """

    reconstruction: Tensor
    kl: Tensor
    posterior_mean: Tensor
    log_ratio: Tensor | None = None

    def detach(self) -> Terms:
        """The same numbers without their history."""
        ratio = None if self.log_ratio is None else self.log_ratio.detach()
        kl, mean = self.kl.detach(), self.posterior_mean.detach()
        return Terms(self.reconstruction.detach(), kl, mean, ratio)

    def loss(self, kl_weight: Tensor | float) -> Tensor:
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


def objective_noise(
    latent_sizes: list[int],
    images: int,
    generator: torch.Generator,
    monte_carlo: int = 1,
    importance: int = 1,
) -> list[Tensor]:
    """Noise for :func:`objective_terms`: ``[monte carlo, importance, images, units]`` a layer, or
    ``[images, units]`` where both numbers are 1."""
    draws = () if monte_carlo * importance == 1 else (monte_carlo, importance)
    return draw_noise(latent_sizes, *draws, images, generator=generator)


def objective_terms(
    model: LatentVariableModel, x: Tensor, noise: list[Tensor], weighted: bool = False
) -> Terms:
    """The terms of the objective.

    Args:
        x: ``[batch, pixels]``.
        noise: of :func:`objective_noise`.
        weighted: for the importance weighted objective.
    """
    layers = model.draw(model.encode(x), noise)
    reconstruction = model.log_likelihood(x, layers[0].sample)
    layers = joined(layers)
    ratio = None
    if weighted:
        ratio = torch.stack([layer.log_ratio().sum(-1) for layer in layers]).sum(0)

    # what is analytic in the top layer does not vary over draws
    def every_draw(terms: Tensor) -> Tensor:
        return terms.expand(*noise[0].shape[:-1], terms.shape[-1])

    return Terms(
        reconstruction,
        torch.cat([every_draw(layer.kl()) for layer in layers], -1),
        torch.cat([every_draw(layer.posterior.mean) for layer in layers], -1),
        ratio,
    )


def joined(layers: list[Layer]) -> list[Layer]:
    """Neighbouring Gaussian layers of the same kind as one: five small operations cost five times
    what one on all their units costs."""

    def kind(layer: Layer) -> tuple[bool, bool]:
        gaussian = isinstance(layer.posterior, DiagonalGaussian)
        return gaussian and isinstance(layer.prior, DiagonalGaussian), layer.analytic

    found: list[Layer] = []
    for (gaussian, analytic), group in itertools.groupby(layers, kind):
        members = list(group)
        if not gaussian or len(members) == 1:
            found += members
            continue
        shapes = [layer.sample.shape for layer in members]
        posterior, prior = (
            DiagonalGaussian.concatenate([getattr(layer, name) for layer in members], shapes)
            for name in ("posterior", "prior")
        )
        sample = torch.cat([layer.sample for layer in members], -1)
        found.append(Layer(sample, posterior, prior, analytic))
    return found


class Variational:
    """The training side of a latent variable model: the ELBO or its importance weighted sibling,
    by the settings ``monte_carlo_samples`` and ``importance_samples``."""

    binary = True
    latent_sizes: list[int]

    def training_noise(
        self, images: int, settings: dict[str, Any], generator: torch.Generator
    ) -> list[Tensor]:
        """See :meth:`rungs.models.protocol.Trainable.training_noise`."""
        return objective_noise(
            self.latent_sizes,
            images,
            generator,
            settings["monte_carlo_samples"],
            settings["importance_samples"],
        )

    def objective(
        self, x: Tensor, noise: list[Tensor], settings: dict[str, Any], kl_weight: Tensor | float
    ) -> Objective:
        """See :meth:`rungs.models.protocol.Trainable.objective`."""
        weighted = settings["importance_samples"] > 1
        terms = objective_terms(self, x, noise, weighted)  # type: ignore[arg-type]
        return Objective(terms.loss(kl_weight), statistics(terms))


def statistics(terms: Terms) -> dict[str, Tensor]:
    """What the history keeps of a batch: ``elbo``, ``reconstruction``, the KL of every unit (of
    all together where they have no terms of their own), first and second moments of the posterior's
    means, of which :func:`epoch_statistics` makes a variance."""
    terms = terms.detach()
    reconstruction, kl = terms.reconstruction.mean(), terms.kl.flatten(0, -2).mean(0)
    means = terms.posterior_mean.flatten(0, -2)
    found = {
        "elbo": reconstruction - kl.sum(),
        "reconstruction": reconstruction,
        "units/mean": means.mean(0),
        "units/mean_square": means.square().mean(0),
    }
    name = "units/kl" if kl.shape[-1] == means.shape[-1] else "kl"
    return found | {name: kl if name == "units/kl" else kl.sum()}


def epoch_statistics(averages: dict[str, Tensor]) -> dict[str, Tensor]:
    """An epoch's averages of :func:`statistics`, the second moment of the posterior means turned
    into their variance over images; other statistics stay as they are."""
    found = dict(averages)
    if "units/mean_square" in found:
        square, mean = found.pop("units/mean_square"), found.pop("units/mean")
        found["units/mean_variance"] = (square - mean.square()).clamp_min(0)
    return found


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
