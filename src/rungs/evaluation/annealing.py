"""The chains of annealed importance sampling (:mod:`rungs.evaluation.ais`): a geometric path of densities,
and Hamiltonian Monte Carlo along it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rungs.errors import ConfigError
from rungs.models.protocol import LatentVariableModel, draw_noise, noise_sizes
from rungs.probability.gaussian import Distribution

#: share of proposals that the adaptation aims at, factor by which it corrects a size, first size
#: and bounds
ACCEPTANCE, CORRECTION = 0.65, 1.02
FIRST_SIZE, SMALLEST_SIZE, LARGEST_SIZE = 0.1, 1e-4, 1.0
#: the path's b is a logistic function of a variable that runs evenly from minus this to this
STEEPNESS = 4.0
STARTS = ("prior", "posterior")


@dataclass(frozen=True)
class Settings:
    """The chains and steps by which an image's likelihood is estimated.

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


def path(steps: int) -> list[float]:
    """Return ``steps + 1`` values of a logistic function from 0 to 1, close together at both ends.

    >>> [round(b, 3) for b in path(4)]
    [0.0, 0.105, 0.5, 0.895, 1.0]
    """
    raw = [1 / (1 + math.exp(-STEEPNESS * (2 * t / steps - 1))) for t in range(steps + 1)]
    return [(b - raw[0]) / (raw[-1] - raw[0]) for b in raw]


class Densities:
    """The two ends of the path for a block of images, and draws from its beginning."""

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
        """Draw from the path's beginning, ``[chains, images, units]``."""
        noise = draw_noise(noise_sizes(self.model), chains, len(self.x), generator=random)
        noise = [n.to(self.x.dtype) for n in noise]
        if self.begins_at_prior:
            return self.model.generate(noise)[0]
        return self.model.draw(self.context, noise)[0].sample

    def beginning(self, z: Tensor) -> Tensor:
        """Return ``log r(z)``, ``[chains, images]``."""
        density = self.prior if self.begins_at_prior else self.posterior
        return density.log_density(z).sum(-1)

    def ratio(self, z: Tensor) -> Tensor:
        """Return ``log p(x, z) - log r(z)``, ``[chains, images]``."""
        likelihood = self.model.log_likelihood(self.x, z)
        if self.begins_at_prior:
            return likelihood
        prior, posterior = self.prior.log_density(z), self.posterior.log_density(z)
        return likelihood + prior.sum(-1) - posterior.sum(-1)


@dataclass(frozen=True)
class State:
    """The positions of the chains, with densities and gradients.

    Attributes:
        z: ``[chains, images, units]``.
        beginning, ratio: ``log f_b = beginning + b * ratio``, both ``[chains, images]``.
        beginning_gradient, ratio_gradient: ``[chains, images, units]``.
    """

    z: Tensor
    beginning: Tensor
    ratio: Tensor
    beginning_gradient: Tensor
    ratio_gradient: Tensor

    @classmethod
    def at(cls, densities: Densities, z: Tensor) -> State:
        """Compute the densities and their gradients at ``z [chains, images, units]``."""
        beginning, first = _with_gradient(densities.beginning, z)
        ratio, second = _with_gradient(densities.ratio, z)
        return cls(z, beginning, ratio, first, second)

    def log_density(self, b: float) -> Tensor:
        """Return ``log f_b``, ``[chains, images]``."""
        return self.beginning + b * self.ratio

    def gradient(self, b: float) -> Tensor:
        """Return the gradient of ``log f_b``, ``[chains, images, units]``."""
        return self.beginning_gradient + b * self.ratio_gradient

    def where(self, chosen: Tensor, other: State) -> State:
        """Return this state where ``chosen [chains, images]`` is true, elsewhere the other."""
        parts = {}
        for name, mine in vars(self).items():
            mask = chosen if mine.dim() == chosen.dim() else chosen.unsqueeze(-1)
            parts[name] = torch.where(mask, mine, getattr(other, name))
        return State(**parts)


def _with_gradient(function: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        z = z.detach().requires_grad_(True)
        value = function(z)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


class Chains:
    """Chains of a block of images."""

    def __init__(
        self, densities: Densities, settings: Settings, chains: int, random: torch.Generator
    ) -> None:
        self.densities, self.settings, self.chains = densities, settings, chains
        self.random = random
        self.path = path(settings.steps)

    def forward(self, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Run from the path's beginning to its end with ``sizes [steps, images]`` of leapfrog steps.

        Returns:
            Log-weights ``[chains, images]`` and acceptance ``[images]``.
        """
        state = self._start()
        weights = torch.zeros_like(state.ratio, dtype=torch.float64)
        acceptance = torch.zeros(len(self.densities.x), dtype=torch.float64)
        for t, b in enumerate(self.path[1:]):
            weights += (b - self.path[t]) * state.ratio.double()
            state, accepted = self._transition(state, b, sizes[t])
            acceptance += accepted.double().mean(0)
        return weights, acceptance / self.settings.steps

    def backward(self, sizes: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Run from ``z [images, units]``, exact draws of the path's end, to its beginning.

        Returns:
            As for :meth:`forward`.
        """
        state = State.at(self.densities, z.expand(self.chains, *z.shape))
        weights = torch.zeros_like(state.ratio, dtype=torch.float64)
        acceptance = torch.zeros(len(self.densities.x), dtype=torch.float64)
        for t in reversed(range(self.settings.steps)):
            state, accepted = self._transition(state, self.path[t + 1], sizes[t])
            weights -= (self.path[t + 1] - self.path[t]) * state.ratio.double()
            acceptance += accepted.double().mean(0)
        return weights, acceptance / self.settings.steps

    def adapted_sizes(self) -> Tensor:
        """Find sizes of the leapfrog steps at which chains are accepted often enough, ``[steps, images]``.

        The chains that find them count for nothing else.
        """
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

    def _start(self) -> State:
        return State.at(self.densities, self.densities.draw(self.chains, self.random))

    def _transition(self, state: State, b: float, size: Tensor) -> tuple[State, Tensor]:
        """Make a transition of Hamiltonian Monte Carlo that leaves f_b as it is.

        Args:
            size: of the leapfrog steps, ``[images]``.

        Returns:
            The new state, and which chains moved, ``[chains, images]``.
        """
        step = size.unsqueeze(-1)
        momentum = self._normal(state.z)
        energy = state.log_density(b) - 0.5 * momentum.square().sum(-1)
        moved = state
        momentum = momentum + 0.5 * step * moved.gradient(b)
        for number in range(1, self.settings.leapfrog + 1):
            moved = State.at(self.densities, moved.z + step * momentum)
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
