"""The protocols by which training and evaluation know a model.

A model maps explicit noise to latents and never draws random numbers itself, so that the same noise
gives the same numbers, whatever else the process computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from rungs.probability.gaussian import DiagonalGaussian, Distribution

#: the model's own result of computing on x alone, once, before latents are drawn
Context = Any


@dataclass(frozen=True)
class Layer:
    """One stochastic layer of a draw from the posterior.

    Attributes:
        sample: z_i, ``[..., batch, units]``.
        posterior: q(z_i | .), the density that z_i was drawn from.
        prior: p(z_i | z_{i+1}), at the drawn z_{i+1}.
        analytic: whether ``KL(posterior || prior)`` is this layer's term of the ELBO given
            the layers that are drawn before it. That holds if z_{i+1} is drawn before z_i. In a
            bottom-up model z_{i+1} is drawn *from* z_i, and only ``log q - log p`` at the sample is
            unbiased.
    """

    sample: Tensor
    posterior: Distribution
    prior: Distribution
    analytic: bool

    def kl(self) -> Tensor:
        """The layer's term of the ELBO, ``[..., batch, terms]``, nats: an unbiased estimate."""
        return self.posterior.divergence(self.prior) if self.analytic else -self.log_ratio()

    def log_ratio(self) -> Tensor:
        """``log p(z_i|z_{i+1}) - log q(z_i|.)`` at the sample, ``[..., batch, terms]``.

        There is one term a unit where both densities factorise, else one for all units together.
        """
        if isinstance(self.prior, DiagonalGaussian) and isinstance(
            self.posterior, DiagonalGaussian
        ):
            return self.prior.log_ratio(self.posterior, self.sample)
        prior = self.prior.log_density(self.sample)
        posterior = self.posterior.log_density(self.sample)
        if prior.shape[-1] != posterior.shape[-1]:
            prior, posterior = prior.sum(-1, keepdim=True), posterior.sum(-1, keepdim=True)
        return prior - posterior


@dataclass(frozen=True)
class Objective:
    """The loss of a batch, and its statistics.

    Attributes:
        loss: the scalar that training minimises, nats.
        statistics: scalars and vectors, detached, which the history keeps, averaged over the batches
            of an epoch. One of them is ``elbo`` (KL weight 1) or, where a model has none,
            ``objective``. Where another bound than the ELBO is trained, ``trained_bound`` is that one.
            Statistics named ``units/...`` have one entry
            for each latent unit, all layers side by side, and are stored layer by layer.
    """

    loss: Tensor
    statistics: dict[str, Tensor]


class Trainable(Protocol):
    """The side of a model that the training loop knows; it is also a :class:`torch.nn.Module`.

    Attributes:
        binary: True if the model takes binarised images, False for intensities from 0 to 1.

    A model with an attribute ``may_start``, names of parameters, can continue a run that lacks them. The
    method ``start_at`` of a model that has one gets the training images, uint8 ``[n, pixels]``, before a run
    starts from drawn weights.
    """

    binary: bool

    def training_noise(
        self, images: int, settings: Mapping[str, Any], generator: torch.Generator
    ) -> list[Tensor]:
        """All random numbers that the objective of a batch needs.

        Args:
            images: the size of the batch.
            settings: the ``training`` section of the run's resolved configuration.
        """
        ...

    def objective(
        self, x: Tensor, noise: list[Tensor], settings: Mapping[str, Any], kl_weight: Tensor | float
    ) -> Objective:
        """The loss and the statistics of ``x [batch, pixels]``.

        Random numbers come from ``noise`` alone, so that models can be trained side by side.
        """
        ...


class LatentVariableModel(Protocol):
    """A model p(x, z) with a posterior q(z | x), in which z has one or more layers, bottom first.

    A draw takes one standard Gaussian number a unit, unless the model has an attribute ``noise_sizes``
    (see :func:`noise_sizes`).
    """

    latent_sizes: list[int]

    def encode(self, x: Tensor) -> Context:
        """The part of q that depends on ``x [batch, pixels]`` alone, computed once for any number of
        draws."""
        ...

    def draw(self, context: Context, noise: list[Tensor]) -> list[Layer]:
        """A draw from q for each noise ``[..., batch, noise size]``, bottom layer first."""
        ...

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """``log p(x | z_1)``, ``[..., batch]``, nats."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """The mean image of p(x | z_1), ``[..., pixels]``."""
        ...

    def generate(self, noise: list[Tensor]) -> list[Tensor]:
        """A draw from the prior for each noise ``[..., noise size]``, bottom layer first."""
        ...


def noise_sizes(model: LatentVariableModel) -> list[int]:
    """The number of standard Gaussian numbers that a draw of each layer takes, from posterior or prior.

    These are the model's ``noise_sizes`` where it has them (a mixture needs one more, to pick the
    component), else one a unit.
    """
    return list(getattr(model, "noise_sizes", model.latent_sizes))


def draw_noise(latent_sizes: list[int], *leading: int, generator: torch.Generator) -> list[Tensor]:
    """Draw standard Gaussian noise ``[*leading, size]`` for every layer; for sizes see
    :func:`noise_sizes`."""
    total = sum(latent_sizes)
    device = generator.device
    return list(
        torch.randn(*leading, total, generator=generator, device=device).split(latent_sizes, -1)
    )


def log_weights(model: LatentVariableModel, x: Tensor, layers: list[Layer]) -> Tensor:
    """``log p(x, z) - log q(z | x)`` at each draw, ``[..., batch]`` (Burda et al. 2016, eq. 8)."""
    total = model.log_likelihood(x, layers[0].sample)
    for layer in layers:
        total = total + layer.log_ratio().sum(-1)
    return total
