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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rungs.errors import ConfigError
from rungs.evaluation.likelihood import estimate
from rungs.models.protocol import LatentVariableModel, draw_noise, noise_sizes
from rungs.numerics.seeds import LIKELIHOOD_BLOCK, generator
from rungs.probability.gaussian import Distribution

#: share of proposals that the adaptation aims at, factor by which it corrects a size, first size
#: and bounds
ACCEPTANCE, CORRECTION = 0.65, 1.02
FIRST_SIZE, SMALLEST_SIZE, LARGEST_SIZE = 0.1, 1e-4, 1.0
#: chains an image of the run that adapts
ADAPTING_CHAINS = 4
#: the path's b is a logistic function of a variable that runs evenly from minus this to this
STEEPNESS = 4.0
STARTS = ("prior", "posterior")
#: images times samples that L_k holds at once
CHUNK_ROWS = 2000


@dataclass(frozen=True)
class Settings:
    """How an image's likelihood is estimated.

    Attributes:
        chains: independent ones, whose weights are averaged.
        steps: of the path; the bound gets tighter with their number.
        leapfrog: leapfrog steps of a transition.
        start: where the path begins: ``prior``, or ``posterior`` for q(z|x), which is nearer.
    """

    chains: int = 16
    steps: int = 1000
    leapfrog: int = 10
    start: str = "prior"

    def __post_init__(self) -> None:
        if self.start not in STARTS:
            raise ConfigError(f"start {self.start!r} is not known; known are {', '.join(STARTS)}.")
        if min(self.chains, self.steps, self.leapfrog) < 1:
            raise ConfigError("chains, steps and leapfrog must be at least 1.")


@dataclass(frozen=True)
class Annealed:
    """What the chains of each image give.

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
    """A stochastic lower bound on ``log p(x)`` of every image.

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
    """A stochastic upper bound on ``log p(x)`` of simulated images.

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
    """Draws of p(z) and of p(x|z): images ``[images, pixels]`` of bits, latents ``[images, units]``.

    Raises:
        ConfigError: for a model whose pixels are no bits.
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
    """Annealed importance sampling beside L_k, of the same images: name -> ``[images]``, nats.

    Args:
        x: ``[images, pixels]``.
        z: for simulated images the latents that they were drawn from, and then there is an ``upper``.
        samples: the k of ``lk``, which is computed in single precision, as evaluation does it.
        double: whether chains compute in float64; the model is in float64 afterwards.
    """
    found = {"lk": estimate(model, x, samples, seed, CHUNK_ROWS).lk}
    if double:
        model.double()
        x, z = x.double(), None if z is None else z.double()
    found["lower"] = lower_bound(model, x, settings, seed).bound
    if z is not None:
        found["upper"] = upper_bound(model, x, z, settings, seed).bound
    return found


def path(steps: int) -> list[float]:
    """``steps + 1`` values from 0 to 1: a logistic function's, slow at both ends.

    >>> [round(b, 3) for b in path(4)]
    [0.0, 0.105, 0.5, 0.895, 1.0]
    """
    raw = [1 / (1 + math.exp(-STEEPNESS * (2 * t / steps - 1))) for t in range(steps + 1)]
    return [(b - raw[0]) / (raw[-1] - raw[0]) for b in raw]


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
        densities = _Densities(model, block, settings.start)
        random = generator(seed, f"ais/sizes/{number}")
        sizes = _Chains(densities, settings, ADAPTING_CHAINS, random).adapted_sizes()
        random = generator(seed, f"ais/{direction}/{number}")
        chains = _Chains(densities, settings, settings.chains, random)
        parts.append(chains.forward(sizes) if start is None else chains.backward(sizes, start))
    weights, acceptance = (torch.cat(part, -1) for part in zip(*parts, strict=True))
    bound = weights.logsumexp(0) - math.log(settings.chains)
    return Annealed(bound if z is None else -bound, weights, acceptance)


def _widened(model: Any, noise: list[Tensor]) -> list[Tensor]:
    """Noise, drawn in single precision, in the precision of the model's parameters."""
    parameters = getattr(model, "parameters", None)
    if parameters is None:
        return noise
    return [n.to(next(parameters()).dtype) for n in noise]


class _Densities:
    """The two ends of the path for a block of images, and how to draw from its beginning."""

    def __init__(self, model: LatentVariableModel, x: Tensor, start: str) -> None:
        self.model, self.x, self.begins_at_prior = model, x, start == "prior"
        with torch.no_grad():
            self.context = model.encode(x)
            # prior and posterior do not depend on the draw: there is one layer
            noise = [x.new_zeros(len(x), size) for size in noise_sizes(model)]
            layer = model.draw(self.context, noise)[0]
        self.prior: Distribution = layer.prior
        self.posterior: Distribution = layer.posterior

    @torch.no_grad()
    def draw(self, chains: int, random: torch.Generator) -> Tensor:
        """Draws from the path's beginning, ``[chains, images, units]``."""
        noise = draw_noise(noise_sizes(self.model), chains, len(self.x), generator=random)
        noise = [n.to(self.x.dtype) for n in noise]
        if self.begins_at_prior:
            return self.model.generate(noise)[0]
        return self.model.draw(self.context, noise)[0].sample

    def beginning(self, z: Tensor) -> Tensor:
        """``log r(z)``, ``[chains, images]``."""
        density = self.prior if self.begins_at_prior else self.posterior
        return density.log_density(z).sum(-1)

    def ratio(self, z: Tensor) -> Tensor:
        """``log p(x, z) - log r(z)``, ``[chains, images]``."""
        likelihood = self.model.log_likelihood(self.x, z)
        if self.begins_at_prior:
            return likelihood
        prior, posterior = self.prior.log_density(z), self.posterior.log_density(z)
        return likelihood + prior.sum(-1) - posterior.sum(-1)


@dataclass(frozen=True)
class _State:
    """Where the chains are: ``log f_b = beginning + b * ratio``, both ``[chains, images]``, and their
    gradients ``[chains, images, units]``."""

    z: Tensor
    beginning: Tensor
    ratio: Tensor
    beginning_gradient: Tensor
    ratio_gradient: Tensor

    @classmethod
    def at(cls, densities: _Densities, z: Tensor) -> _State:
        beginning, first = _with_gradient(densities.beginning, z)
        ratio, second = _with_gradient(densities.ratio, z)
        return cls(z, beginning, ratio, first, second)

    def log_density(self, b: float) -> Tensor:
        return self.beginning + b * self.ratio

    def gradient(self, b: float) -> Tensor:
        return self.beginning_gradient + b * self.ratio_gradient

    def where(self, chosen: Tensor, other: _State) -> _State:
        """This state where ``chosen [chains, images]``, elsewhere the other."""
        parts = {}
        for name, mine in vars(self).items():
            mask = chosen if mine.dim() == chosen.dim() else chosen.unsqueeze(-1)
            parts[name] = torch.where(mask, mine, getattr(other, name))
        return _State(**parts)


def _with_gradient(function: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        z = z.detach().requires_grad_(True)
        value = function(z)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


class _Chains:
    """Chains of a block of images."""

    def __init__(
        self, densities: _Densities, settings: Settings, chains: int, random: torch.Generator
    ) -> None:
        self.densities, self.settings, self.chains = densities, settings, chains
        self.random = random
        self.path = path(settings.steps)

    def forward(self, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Log-weights ``[chains, images]`` and acceptance ``[images]`` with ``sizes [steps, images]``."""
        state = self._start()
        weights = torch.zeros_like(state.ratio, dtype=torch.float64)
        acceptance = torch.zeros(len(self.densities.x), dtype=torch.float64)
        for t, b in enumerate(self.path[1:]):
            weights += (b - self.path[t]) * state.ratio.double()
            state, accepted = self._transition(state, b, sizes[t])
            acceptance += accepted.double().mean(0)
        return weights, acceptance / self.settings.steps

    def backward(self, sizes: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """The same from ``z [images, units]``, exact draws of the path's end, to its beginning."""
        state = _State.at(self.densities, z.expand(self.chains, *z.shape))
        weights = torch.zeros_like(state.ratio, dtype=torch.float64)
        acceptance = torch.zeros(len(self.densities.x), dtype=torch.float64)
        for t in reversed(range(self.settings.steps)):
            state, accepted = self._transition(state, self.path[t + 1], sizes[t])
            weights -= (self.path[t + 1] - self.path[t]) * state.ratio.double()
            acceptance += accepted.double().mean(0)
        return weights, acceptance / self.settings.steps

    def adapted_sizes(self) -> Tensor:
        """Sizes of the leapfrog steps at each step of the path, ``[steps, images]``: those at which
        chains that are thrown away were accepted often enough."""
        state = self._start()
        size = torch.full_like(state.ratio[0], FIRST_SIZE)
        sizes = []
        for b in self.path[1:]:
            sizes.append(size)
            state, accepted = self._transition(state, b, size)
            enough = accepted.to(size.dtype).mean(0) > ACCEPTANCE
            size = torch.where(enough, size * CORRECTION, size / CORRECTION)
            size = size.clamp(SMALLEST_SIZE, LARGEST_SIZE)
        return torch.stack(sizes)

    def _start(self) -> _State:
        return _State.at(self.densities, self.densities.draw(self.chains, self.random))

    def _transition(self, state: _State, b: float, size: Tensor) -> tuple[_State, Tensor]:
        """Hamiltonian Monte Carlo that leaves f_b as it is, with leapfrog steps of ``size
        [images]``; also which chains moved, ``[chains, images]``."""
        step = size.unsqueeze(-1)
        momentum = self._normal(state.z)
        energy = state.log_density(b) - 0.5 * momentum.square().sum(-1)
        moved = state
        momentum = momentum + 0.5 * step * moved.gradient(b)
        for number in range(1, self.settings.leapfrog + 1):
            moved = _State.at(self.densities, moved.z + step * momentum)
            half = 0.5 if number == self.settings.leapfrog else 1.0
            momentum = momentum + half * step * moved.gradient(b)
        change = moved.log_density(b) - 0.5 * momentum.square().sum(-1) - energy
        uniform = torch.rand(change.shape, generator=self.random, device=change.device)
        # a trajectory that left the numbers has no comparison, and is not accepted
        accepted = uniform.log() < change
        return moved.where(accepted, state), accepted

    def _normal(self, like: Tensor) -> Tensor:
        noise = torch.randn(like.shape, generator=self.random, device=like.device)
        return noise.to(like.dtype)
