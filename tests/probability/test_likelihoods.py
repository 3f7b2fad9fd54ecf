"""Discretised likelihoods of 256 levels against scipy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rungs.probability.likelihoods import LIKELIHOODS, Discretised


@pytest.mark.parametrize("name", ["logistic", "gaussian"])
@settings(max_examples=60, deadline=None)
@given(location=st.floats(-8, 8), log_scale=st.floats(-12, 6))
def test_the_256_levels_add_up_to_one(name: str, location: float, log_scale: float) -> None:
    likelihood: Any = LIKELIHOODS[name]()
    output = torch.tensor([[location, log_scale]], dtype=torch.float64).expand(256, 2)
    levels = torch.arange(256, dtype=torch.float64)[:, None] / 255
    found = likelihood.log_probability(levels, output)
    assert bool(torch.isfinite(found).all())
    assert float(found.exp().sum()) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "reference"), [("logistic", stats.logistic), ("gaussian", stats.norm)]
)
def test_a_level_is_a_difference_of_scipys_distribution(name: str, reference: Any) -> None:
    likelihood = LIKELIHOODS[name]()
    assert isinstance(likelihood, Discretised)
    levels = np.arange(256) / 255
    edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 255, [np.inf]])
    for location, scale in ((0.3, 0.1), (0.9, 0.02), (0.01, 0.5)):
        expected = np.diff(reference.cdf(edges, location, scale))
        found = likelihood.level_log_probability(
            torch.from_numpy(levels), torch.tensor(location), torch.tensor(scale).log()
        )
        np.testing.assert_allclose(found.exp().numpy(), expected, rtol=1e-5, atol=1e-9)


def test_levels_of_stored_images_are_those_of_the_likelihood() -> None:
    """uint8 / 255 in single precision hits the open bins at both ends."""
    likelihood = LIKELIHOODS["logistic"]()
    x = torch.tensor([[0, 255]], dtype=torch.uint8).float() / 255
    found = likelihood.log_probability(x, torch.tensor([[-20.0, 20.0, -3.0, -3.0]]))
    inside = torch.nn.functional.logsigmoid(torch.tensor(0.5 / 255 * math.exp(5)))
    assert float(found) == pytest.approx(2 * float(inside), rel=1e-4)
