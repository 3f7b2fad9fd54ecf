"""What training and evaluation know of a model.

A model maps explicit noise to latents: it never draws random numbers itself, so the
same noise gives the same numbers wherever and in whatever company a model runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from rungs.probability.gaussian import DiagonalGaussian, Distribution

#: whatever a model computes from x alone, once, before latents are drawn
Context = Any


@dataclass(frozen=True)
class Layer:
    """One stochastic layer of a draw from the posterior.

    Attributes:
        sample: z_i, ``[..., batch, units]``.
        posterior: q(z_i | what it was drawn given).
        prior: p(z_i | z_{i+1}), at the drawn z_{i+1}.
        analytic: whether ``KL(posterior || prior)`` is this layer's term of the ELBO given
            the layers that are drawn before it. It is so if z_{i+1} is drawn before z_i.
            In a bottom-up model z_{i+1} is drawn *from* z_i; there only
            ``log q - log p`` at the sample is unbiased.
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

        One term a unit where both factorise, else one term for all units together.
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
    """What a batch gives to training.

    Attributes:
        loss: a scalar.
        statistics: what the history keeps, averaged over the batches of an epoch: scalars and
            vectors, detached. One of them is ``elbo`` (KL weight 1) or, where a model has none,
            ``objective``: convergence is judged by it. Names that begin with ``units/`` have one
            entry for each latent unit, all layers side by side, and are stored layer by layer.
    """

    loss: Tensor
    statistics: dict[str, Tensor]


class Trainable(Protocol):
    """What the training loop knows of a model, which is a :class:`torch.nn.Module` besides.

    Attributes:
        binary: whether images are binarised, or reach the model as intensities from 0 to 1.
    """

    binary: bool

    def training_noise(
        self, images: int, settings: dict[str, Any], generator: torch.Generator
    ) -> list[Tensor]:
        """All the random numbers that a batch's objective needs.

        Args:
            settings: the configuration's ``training`` section as the run sees it.
        """
        ...

    def objective(
        self, x: Tensor, noise: list[Tensor], settings: dict[str, Any], kl_weight: Tensor | float
    ) -> Objective:
        """What to minimise on ``x [batch, pixels]``, and what to note down. Random numbers come
        from ``noise`` alone, so that many models can be trained side by side."""
        ...


class LatentVariableModel(Protocol):
    """A model p(x, z) with a posterior q(z | x), z in one or more layers, bottom first.

    A draw takes a standard Gaussian number a unit, unless the model has an attribute
    ``noise_sizes`` that says otherwise (see :func:`noise_sizes`).
    """

    latent_sizes: list[int]

    def encode(self, x: Tensor) -> Context:
        """What q needs of ``x [batch, pixels]``, computed once for any number of draws."""
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
    """Standard Gaussian numbers that a draw of each layer takes, from the posterior and from the prior
    alike: the model's ``noise_sizes`` where it has them (a mixture needs one more, to pick the
    component), else one a unit."""
    return list(getattr(model, "noise_sizes", model.latent_sizes))


def draw_noise(latent_sizes: list[int], *leading: int, generator: torch.Generator) -> list[Tensor]:
    """Standard Gaussian noise ``[*leading, units]`` for every layer; the sizes are those of
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
