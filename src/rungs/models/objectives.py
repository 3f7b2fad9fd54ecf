"""The objectives of latent variable models, and the statistics of a batch that the history keeps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rungs.models.protocol import LatentVariableModel, Layer, Objective, draw_noise
from rungs.probability.gaussian import DiagonalGaussian


@dataclass(frozen=True)
class ElboTerms:
    """The terms of the ELBO of a batch, nats; ``...`` are draws.

    Attributes:
        reconstruction: ``log p(x | z_1)``, ``[..., batch]``.
        kl: the KL terms of all layers side by side, bottom first, ``[..., batch, terms]``: one a
            unit, or one for the whole layer where prior or posterior do not factorise.
        posterior_mean: the means of q in the same order, ``[..., batch, units]``.
    """

    reconstruction: Tensor
    kl: Tensor
    posterior_mean: Tensor

    def detach(self) -> ElboTerms:
        """The same numbers without their history."""
        return ElboTerms(
            self.reconstruction.detach(), self.kl.detach(), self.posterior_mean.detach()
        )


def elbo_loss(terms: ElboTerms, kl_weight: Tensor | float = 1.0) -> Tensor:
    """The negative ELBO ``w KL(q(z|x) || p(z)) - E log p(x|z)``, averaged over draws and batch.

    Args:
        kl_weight: w, which warm-up raises from 0 to 1 (Sonderby et al. 2016, eq. 20).

    Returns:
        A scalar, nats.
    """
    return kl_weight * terms.kl.sum(-1).mean() - terms.reconstruction.mean()


def importance_weighted_loss(log_weights: Tensor) -> Tensor:
    """The negative bound ``-log (1/k) sum_i w_i`` (Burda et al. 2016, eq. 8), averaged over Monte
    Carlo samples and batch.

    Args:
        log_weights: ``log p(x, z_i) - log q(z_i|x)``, ``[..., k, batch]``; warm-up tempers
            ``p(z)/q(z|x)`` by the KL weight.

    Returns:
        A scalar, nats.
    """
    bound = log_weights.logsumexp(-2) - math.log(log_weights.shape[-2])
    return -bound.mean()


def objective_noise(
    noise_sizes: list[int],
    images: int,
    generator: torch.Generator,
    monte_carlo: int = 1,
    importance: int = 1,
) -> list[Tensor]:
    """Noise for an objective: ``[monte carlo, importance, images, size]`` a layer, or ``[images,
    size]`` where both numbers of samples are 1."""
    draws = () if monte_carlo * importance == 1 else (monte_carlo, importance)
    return draw_noise(noise_sizes, *draws, images, generator=generator)


def draw_layers(
    model: LatentVariableModel, x: Tensor, noise: list[Tensor]
) -> tuple[Tensor, list[Layer]]:
    """``log p(x | z_1)`` at draws from q, ``[..., batch]``, nats, and the draws' layers, joined.

    Args:
        x: ``[batch, pixels]``.
        noise: see :func:`objective_noise`.
    """
    layers = model.draw(model.encode(x), noise)
    return model.log_likelihood(x, layers[0].sample), join_layers(layers)


def elbo_terms(model: LatentVariableModel, x: Tensor, noise: list[Tensor]) -> ElboTerms:
    """The terms of the ELBO of ``x [batch, pixels]``; for ``noise`` see :func:`objective_noise`."""
    return _terms(*draw_layers(model, x, noise))


def _terms(reconstruction: Tensor, layers: list[Layer]) -> ElboTerms:
    draws = reconstruction.shape

    # an analytic term of the top layer does not vary over draws
    def every_draw(terms: Tensor) -> Tensor:
        return terms.expand(*draws, terms.shape[-1])

    return ElboTerms(
        reconstruction,
        torch.cat([every_draw(layer.kl()) for layer in layers], -1),
        torch.cat([every_draw(layer.posterior.mean) for layer in layers], -1),
    )


def join_layers(layers: list[Layer]) -> list[Layer]:
    """Join neighbouring Gaussian layers of the same kind into one: five small operations cost five
    times as much as one on all their units."""

    def kind(layer: Layer) -> tuple[bool, bool]:
        gaussian = isinstance(layer.posterior, DiagonalGaussian)
        return gaussian and isinstance(layer.prior, DiagonalGaussian), layer.analytic

    joined: list[Layer] = []
    for (gaussian, analytic), group in itertools.groupby(layers, kind):
        members = list(group)
        if not gaussian or len(members) == 1:
            joined += members
            continue
        shapes = [layer.sample.shape for layer in members]
        posterior, prior = (
            DiagonalGaussian.concatenate([getattr(layer, name) for layer in members], shapes)
            for name in ("posterior", "prior")
        )
        sample = torch.cat([layer.sample for layer in members], -1)
        joined.append(Layer(sample, posterior, prior, analytic))
    return joined


class Variational:
    """The training side of a latent variable model: the ELBO or, with several importance samples,
    the importance weighted objective.

    The settings ``monte_carlo_samples`` and ``importance_samples`` choose between them.
    """

    binary = True
    latent_sizes: list[int]

    def training_noise(
        self, images: int, settings: Mapping[str, Any], generator: torch.Generator
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
        self, x: Tensor, noise: list[Tensor], settings: Mapping[str, Any], kl_weight: Tensor | float
    ) -> Objective:
        """See :meth:`rungs.models.protocol.Trainable.objective`."""
        reconstruction, layers = draw_layers(self, x, noise)  # type: ignore[arg-type]
        terms = _terms(reconstruction, layers)
        if settings["importance_samples"] == 1:
            return Objective(elbo_loss(terms, kl_weight), statistics(terms))
        log_ratio = torch.stack([layer.log_ratio().sum(-1) for layer in layers]).sum(0)
        loss = importance_weighted_loss(reconstruction + kl_weight * log_ratio)
        bound = -importance_weighted_loss((reconstruction + log_ratio).detach())
        return Objective(loss, statistics(terms) | {"trained_bound": bound})


def statistics(terms: ElboTerms) -> dict[str, Tensor]:
    """The statistics that the history keeps of a batch, detached.

    Returns:
        ``elbo`` and ``reconstruction``, scalars; ``units/kl``, the KL of every unit, or ``kl``, that
        of all together, where units have no terms of their own; ``units/mean`` and
        ``units/mean_square``, the moments of the posterior's means, from which
        :func:`epoch_statistics` computes a variance.
    """
    terms = terms.detach()
    reconstruction, kl = terms.reconstruction.mean(), terms.kl.flatten(0, -2).mean(0)
    means = terms.posterior_mean.flatten(0, -2)
    found = {
        "elbo": reconstruction - kl.sum(),
        "reconstruction": reconstruction,
        "units/mean": means.mean(0),
        "units/mean_square": means.square().mean(0),
    }
    if kl.shape[-1] == means.shape[-1]:
        return found | {"units/kl": kl}
    return found | {"kl": kl.sum()}


def epoch_statistics(averages: dict[str, Tensor]) -> dict[str, Tensor]:
    """An epoch's averages of :func:`statistics`, with the variance of the posterior means over images
    (``units/mean_variance``) in the place of their two moments."""
    found = dict(averages)
    if "units/mean_square" in found:
        square, mean = found.pop("units/mean_square"), found.pop("units/mean")
        found["units/mean_variance"] = (square - mean.square()).clamp_min(0)
    return found
