"""Draws from a mixture posterior by strata, one from each of its components."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from rungs.models.objectives import ElboTerms
from rungs.models.protocol import Layer


@dataclass(frozen=True)
class StratifiedDraw:
    """One draw ``z_c`` from each component of a mixture posterior, or one from a single Gaussian.

    Weighted by the components' weights ``u_c``, the draws estimate an expectation under the whole
    mixture (Morningstar et al. 2020, eq. 7).

    Attributes:
        layer: the draws, ``[..., (components,) batch, units]``, and their densities; ``analytic``
            if the KL is computed in closed form.
        reconstruction: ``log p(x | z_c)``, ``[..., (components,) batch]``, nats.
        log_strata: ``log u_c``, ``[components, batch]``; None for a single Gaussian.
    """

    layer: Layer
    reconstruction: Tensor
    log_strata: Tensor | None

    @cached_property
    def log_ratio(self) -> Tensor:
        """``log p(z_c) - log q(z_c|x)``, ``[..., (components,) batch]``, nats."""
        return self.layer.log_ratio().sum(-1)

    def average(self, values: Tensor) -> Tensor:
        """``sum_c u_c values_c``, ``[..., batch]``."""
        return values if self.log_strata is None else (self.log_strata.exp() * values).sum(-2)

    def elbo_terms(self) -> ElboTerms:
        """The terms of the ELBO, its KL in closed form or sampled."""
        reconstruction = self.average(self.reconstruction)
        if self.layer.analytic:
            kl = self.layer.kl()
            kl = kl.expand(*reconstruction.shape, kl.shape[-1])
        else:
            kl = -self.average(self.log_ratio).unsqueeze(-1)
        mean = self.layer.posterior.mean
        return ElboTerms(reconstruction, kl, mean.expand(*reconstruction.shape, mean.shape[-1]))
