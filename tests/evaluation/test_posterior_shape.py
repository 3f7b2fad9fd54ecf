"""Modes, negentropy and components of posteriors against quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from densities import generator, mixed
from rungs.evaluation.posterior_shape import count_modes, shape_of
from rungs.probability.posteriors import MixturePosterior
from rungs.tables.perplexity import NOT_GAUSSIAN


def posterior_1d(
    weights: list[float], means: list[float], variances: list[float]
) -> MixturePosterior:
    tensor = lambda values: torch.tensor([values])  # noqa: E731
    return MixturePosterior(
        tensor(weights).log(), tensor(means).unsqueeze(-1), tensor(variances).unsqueeze(-1)
    )


@pytest.mark.parametrize(
    ("q", "modes", "gaussian"),
    [
        (posterior_1d([0.5, 0.5], [-3.0, 3.0], [1.0, 1.0]), 2, False),
        # equal widths are unimodal up to a distance of two deviations
        (posterior_1d([0.5, 0.5], [-0.95, 0.95], [1.0, 1.0]), 1, True),
        (posterior_1d([0.8, 0.2], [0.0, 2.2], [1.0, 1.0]), 1, False),
        (posterior_1d([0.5, 0.5], [-1.3, 1.3], [1.0, 1.0]), 2, False),
        # one place, two widths: heavy tails
        (posterior_1d([0.5, 0.5], [0.0, 0.0], [0.05, 3.0]), 1, False),
        (posterior_1d([0.3, 0.7], [0.2, 0.2], [1.0, 1.0]), 1, True),
        # a component without weight makes no mode
        (posterior_1d([0.999, 0.001], [0.0, 9.0], [1.0, 1.0]), 1, False),
        (posterior_1d([0.3, 0.3, 0.4], [-5.0, 0.0, 5.0], [1.0, 1.0, 1.0]), 3, False),
    ],
)
def test_modes_and_negentropy(q: MixturePosterior, modes: int, gaussian: bool) -> None:
    found = shape_of(q, 20_000, generator())
    assert int(found.modes) == modes
    z = np.linspace(-40, 40, 400_001)
    log_q = q.log_density(torch.from_numpy(z).float()[:, None, None]).squeeze().double().numpy()
    mean = integrate.simpson(np.exp(log_q) * z, x=z)
    deviation = math.sqrt(integrate.simpson(np.exp(log_q) * (z - mean) ** 2, x=z))
    expected = integrate.simpson(
        np.exp(log_q) * (log_q - stats.norm.logpdf(z, mean, deviation)), x=z
    )
    assert float(found.negentropy) == pytest.approx(expected, abs=0.02)
    assert (float(found.negentropy) > NOT_GAUSSIAN) == (not gaussian)


def test_components_that_can_be_told_apart() -> None:
    far = posterior_1d([0.25] * 4, [-30.0, -10.0, 10.0, 30.0], [1.0] * 4)
    assert float(shape_of(far, 2000, generator()).components) == pytest.approx(4, rel=1e-3)
    same = posterior_1d([0.25] * 4, [1.0] * 4, [1.0] * 4)
    assert float(shape_of(same, 2000, generator()).components) == pytest.approx(1, abs=1e-3)


def test_modes_in_many_units_and_images() -> None:
    q = mixed(20, 5)
    counts = count_modes(MixturePosterior(q.log_weights, 20 * q.means, q.variances))
    assert bool((counts == (q.log_weights.exp() >= 0.01).sum(-1)).all())
