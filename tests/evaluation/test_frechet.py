"""The Frechet distance against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from rungs.evaluation.frechet import frechet_distance


def test_the_frechet_distance_is_that_of_scipys_root() -> None:
    random = np.random.default_rng(0)
    first = random.normal(size=(400, 6)) @ random.normal(size=(6, 6))
    second = random.normal(size=(300, 6)) @ random.normal(size=(6, 6)) + 0.5
    covariances = [np.cov(x.T, bias=True) for x in (first, second)]
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.square(first.mean(0) - second.mean(0)).sum() + np.trace(
        sum(covariances) - 2 * root
    )
    assert frechet_distance(first, second)[0] == pytest.approx(expected)
    assert frechet_distance(first, first)[0] == pytest.approx(0, abs=1e-9)
    # weights are resampled images
    chosen = random.integers(0, 400, 400)
    weights = np.bincount(chosen, minlength=400)[None] / 400
    expected = frechet_distance(first[chosen], second)
    np.testing.assert_allclose(frechet_distance(first, second, weights), expected)
