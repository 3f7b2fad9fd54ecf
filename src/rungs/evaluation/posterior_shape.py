"""The shape of a learnt mixture posterior: whether it uses its components, has several modes, and is
Gaussian where it has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rungs.numerics.seeds import generator
from rungs.probability.posteriors import FullGaussian, MixturePosterior
from rungs.study.settings import RunSettings

#: a component of less weight makes no mode
MIN_WEIGHT = 0.01
#: two maxima are one mode unless the log-density between them falls below the lower by this much
DIP = 0.01
STEPS = 300
#: points on the way between two maxima
POINTS = 21
#: draws of each component
DRAWS = 400


@dataclass(frozen=True)
class Shape:
    """The shape of each posterior, ``[images]``.

    Attributes:
        modes: number of modes among those that the components' means climb to.
        negentropy: ``KL(q || N(mean q, cov q))``, nats: 0 for a Gaussian.
        components: exp of the information between component and z: the number of components that can
            be told apart, 1 where all coincide or one has all the weight.
    """

    modes: Tensor
    negentropy: Tensor
    components: Tensor


@torch.no_grad()
def shape_of(q: MixturePosterior, draws: int, random: torch.Generator) -> Shape:
    """Find modes by fixed-point iteration, and the rest by stratified draws.

    Args:
        draws: of each component.
    """
    batch, strata, units = q.means.shape
    noise = torch.randn(draws, batch, strata * units, generator=random)
    z = q.stratified(noise)
    weights = q.log_weights.exp().T
    log_q = q.log_density(z).squeeze(-1)
    own = q.components.log_density(z.movedim(-3, -2)).sum(-1).movedim(-1, -2)
    gaussian = matched(q).log_density(z.flatten(0, 1)).reshape(log_q.shape)
    information = (weights * (own - log_q).mean(0)).sum(0).clamp_min(0)
    negentropy = (weights * (log_q - gaussian).mean(0)).sum(0)
    return Shape(count_modes(q), negentropy, information.exp())


def matched(q: MixturePosterior) -> FullGaussian:
    """Return the Gaussian with the mixture's mean and covariance."""
    weights = q.log_weights.exp().unsqueeze(-1)
    away = q.means - q.mean.unsqueeze(-2)
    covariance = torch.einsum("bcu,bcv->buv", weights * away, away)
    covariance = covariance + (weights * q.variances).sum(-2).diag_embed()
    return FullGaussian(q.mean, torch.linalg.cholesky(covariance))


@torch.no_grad()
def count_modes(q: MixturePosterior) -> Tensor:
    """Count the modes of each posterior, int64 ``[batch]``.

    From each component's mean the iteration ``z <- (sum r_c/v_c)^-1 sum r_c m_c/v_c`` with
    responsibilities ``r_c(z)`` climbs to a mode (Carreira-Perpinan 2000, eq. 8). A mixture can have
    modes that no mean climbs to; they are not counted.
    """
    precision = q.variances.reciprocal()
    z = q.means.movedim(-2, 0)  # [starts, batch, units]
    for _ in range(STEPS):
        terms = q.components.log_density(z.unsqueeze(-2)).sum(-1) + q.log_weights
        weighted = terms.softmax(-1).unsqueeze(-1) * precision
        z = (weighted * q.means).sum(-2) / weighted.sum(-2)
    starts, batch = len(z), z.shape[1]
    along = torch.linspace(0, 1, POINTS).reshape(-1, 1, 1)
    counts = q.log_weights.exp() >= MIN_WEIGHT
    same = torch.eye(starts, dtype=torch.bool).repeat(batch, 1, 1)
    for i in range(starts):
        for j in range(i):
            path = q.log_density(z[i] + along * (z[j] - z[i])).squeeze(-1)
            joined = path.amin(0) >= torch.minimum(path[0], path[-1]) - DIP
            same[:, i, j] = same[:, j, i] = joined
    same &= counts.unsqueeze(1) & counts.unsqueeze(2)
    for _ in range(starts):
        same = (same.float() @ same.float()) > 0
    # a group is counted at its first member
    first = torch.where(same, torch.arange(starts), starts).amin(-1) == torch.arange(starts)
    return (first & counts).sum(-1)


def shape_arrays(model: Any, settings: RunSettings, x: Tensor, rows: int) -> dict[str, Any]:
    """Return the shape of each test image's mixture posterior; nothing for another posterior.

    ``posterior/modes``, ``posterior/negentropy`` and ``posterior/components`` are the attributes of
    :class:`Shape`, ``[n]``.

    Args:
        x: the test images, ``[n, pixels]``.
        rows: a fiftieth of it are the images whose shape is found at once.
    """
    random = generator(settings["seed"], "shape")
    found = []
    for block in x.split(max(1, rows // 50)):
        with torch.no_grad():
            posterior, _ = model.encode(block)
        if not isinstance(posterior, MixturePosterior):
            return {}
        found.append(shape_of(posterior, DRAWS, random))
    return {
        f"posterior/{name}": torch.cat([getattr(shape, name) for shape in found]).numpy()
        for name in ("modes", "negentropy", "components")
    }
