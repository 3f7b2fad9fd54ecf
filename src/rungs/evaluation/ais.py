"""Annealed importance sampling of ``log p(x)``, with an upper bound on simulated images.

A second estimate of a decoder's likelihood, which rests neither on the encoder nor on L_k
(Neal 2001; Wu, Burda, Salakhutdinov and Grosse 2017). Chains go from a density r that can be drawn
from, the prior or q(z|x), to p(x, z) along the geometric path

``f_b(z) = r(z)^(1 - b) p(x, z)^b``,

b rising from 0 to 1 by a sigmoid's steps; at each step a chain's log-weight grows by
``(b' - b) (log p(x, z) - log r(z))`` and z makes a transition that leaves f_b' as it is: Hamiltonian
Monte Carlo with leapfrog steps and a test of acceptance. The weights' mean is p(x) on average, so the
logarithm of their mean is on average below ``log p(x)``: a stochastic lower bound, as L_k is.

From an exact draw of p(z|x) the same chain can be run backwards; its weights are 1/p(x) on average,
and minus the logarithm of their mean is a stochastic *upper* bound (Grosse, Ghahramani and Adams
2015). Exact draws there are for images that are simulated from the model: :func:`simulate`.

Sizes of the leapfrog steps are adapted to an acceptance of 0.65 in a run of its own, whose chains
count for nothing: one size a step of the path and image. The chains that count use these sizes as
they are, so that both estimates stay valid. (Wu et al. adapt within the chains that count.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rungs.errors import ConfigError
from rungs.evaluation.annealing import Chains, Settings
from rungs.evaluation.geometric_path import Densities
from rungs.evaluation.likelihood import estimate
from rungs.models.arithmetic import set_arithmetic
from rungs.models.protocol import LatentVariableModel, draw_noise, noise_sizes
from rungs.numerics.seeds import LIKELIHOOD_BLOCK, generator

#: chains an image of the run that adapts
ADAPTING_CHAINS = 4
#: images times samples that L_k holds at once
CHUNK_ROWS = 2000


@dataclass(frozen=True)
class Annealed:
    """The result of the chains of each image.

    Attributes:
        bound: below ``log p(x)`` on average, or above it if the chains ran backwards, ``[images]``
            float64, nats.
        log_weights: of every chain, ``[chains, images]`` float64; backwards those of 1/p(x).
        acceptance: share of accepted transitions, ``[images]``.
    """

    bound: Tensor
    log_weights: Tensor
    acceptance: Tensor


def lower_bound(
    model: LatentVariableModel, x: Tensor, settings: Settings, seed: int = 0
) -> Annealed:
    """Return a stochastic lower bound on ``log p(x)`` of every image.

    Args:
        model: of one stochastic layer, in test mode. Chains compute in the precision of its
            parameters and of ``x``; weights are added up in float64.
        x: ``[images, pixels]``.
        seed: blocks of images draw from streams of their own, so that an image's estimate does not
            depend on how many follow.

    Raises:
        ConfigError: for a model with several stochastic layers, or none.

    Example:
        >>> from rungs.models.linear_gaussian import LinearGaussian
        >>> model = LinearGaussian(12, 3, torch.Generator().manual_seed(0))
        >>> x = model.simulate(5, torch.Generator().manual_seed(1))
        >>> settings = Settings(chains=4, steps=20, leapfrog=3, start="posterior")
        >>> found = lower_bound(model, x, settings).bound
        >>> bool(((found - model.exact_log_likelihood(x)).abs() < 0.1).all())
        True
    """
    return _by_blocks(model, x, None, settings, seed)


def upper_bound(
    model: LatentVariableModel, x: Tensor, z: Tensor, settings: Settings, seed: int = 0
) -> Annealed:
    """Return a stochastic upper bound on ``log p(x)`` of simulated images.

    Args:
        x: ``[images, pixels]``, drawn from p(x|z); see :func:`lower_bound`.
        z: the latents that they were drawn from, ``[images, units]``: exact draws of p(z|x). All
            chains of an image begin there.

    Raises:
        ConfigError: for a model with several stochastic layers, or none.
    """
    return _by_blocks(model, x, z, settings, seed)


@torch.no_grad()
def simulate(model: Any, images: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw latents from p(z) and images from p(x|z).

    Returns:
        Images ``[images, pixels]`` of bits, and latents ``[images, units]``.

    Raises:
        ConfigError: for a model whose pixels are not binary.
    """
    if not getattr(model, "binary", False):
        raise ConfigError("images can be simulated from models of binary pixels only.")
    random = generator(seed, "ais/simulation")
    z = model.generate(_widened(model, draw_noise(noise_sizes(model), images, generator=random)))[0]
    probabilities = model.decode(z)
    uniform = torch.rand(probabilities.shape, generator=random)
    return (uniform < probabilities).to(probabilities.dtype), z


def compare(
    model: Any,
    x: Tensor,
    z: Tensor | None,
    settings: Settings,
    samples: int,
    seed: int = 0,
    double: bool = False,
) -> dict[str, Tensor]:
    """Compute annealed importance sampling and L_k of the same images.

    Args:
        x: ``[images, pixels]``.
        z: for simulated images the latents from which they were drawn; these have an upper bound too.
        samples: the k of L_k, which is computed in single precision, as evaluation does it.
        double: whether chains compute in float64; the model is in float64 afterwards.

    Returns:
        ``lk``, ``lower`` and, for simulated images, ``upper``, each ``[images]``, nats.
    """
    found = {"lk": estimate(model, x, samples, seed, CHUNK_ROWS).lk}
    if double:
        set_arithmetic(model, "float32")
        model.double()
        x, z = x.double(), None if z is None else z.double()
    found["lower"] = lower_bound(model, x, settings, seed).bound
    if z is not None:
        found["upper"] = upper_bound(model, x, z, settings, seed).bound
    return found


def _by_blocks(
    model: LatentVariableModel, x: Tensor, z: Tensor | None, settings: Settings, seed: int
) -> Annealed:
    if len(model.latent_sizes) != 1 or model.latent_sizes[0] == 0:
        raise ConfigError(
            "annealed importance sampling needs a model with one stochastic layer of at least one "
            f"unit; this one has layers of {model.latent_sizes or 'no'} units."
        )
    parts = []
    direction = "forward" if z is None else "backward"
    for number, block in enumerate(x.split(LIKELIHOOD_BLOCK)):
        start = None if z is None else z.split(LIKELIHOOD_BLOCK)[number]
        densities = Densities(model, block, settings.start)
        random = generator(seed, f"ais/sizes/{number}")
        sizes = Chains(densities, settings, ADAPTING_CHAINS, random).adapted_sizes()
        random = generator(seed, f"ais/{direction}/{number}")
        chains = Chains(densities, settings, settings.chains, random)
        parts.append(chains.forward(sizes) if start is None else chains.backward(sizes, start))
    weights, acceptance = (torch.cat(part, -1) for part in zip(*parts, strict=True))
    bound = weights.logsumexp(0) - math.log(settings.chains)
    return Annealed(bound if z is None else -bound, weights, acceptance)


def _widened(model: Any, noise: list[Tensor]) -> list[Tensor]:
    """Convert noise, drawn in single precision, to the precision of the model's parameters."""
    parameters = getattr(model, "parameters", None)
    if parameters is None:
        return noise
    return [n.to(next(parameters()).dtype) for n in noise]
