"""The chains of annealed importance sampling (:mod:`rungs.evaluation.ais`): Hamiltonian Monte Carlo along a
path of densities (:mod:`rungs.evaluation.geometric_path`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rungs.errors import ConfigError
from rungs.evaluation.geometric_path import Densities, State, path

#: share of proposals that the adaptation aims at, factor by which it corrects a size, first size
#: and bounds
ACCEPTANCE, CORRECTION = 0.65, 1.02
FIRST_SIZE, SMALLEST_SIZE, LARGEST_SIZE = 0.1, 1e-4, 1.0
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
