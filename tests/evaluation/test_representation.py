"""Nearest neighbours and principal components against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from rungs.evaluation.representation import nearest_neighbours_correct, principal_components


@pytest.mark.parametrize(("neighbours", "units"), [(1, 3), (5, 3), (5, 1), (8, 10)])
def test_nearest_neighbours_are_scikit_learns(neighbours: int, units: int) -> None:
    random = np.random.default_rng(neighbours)
    centres = random.normal(0, 1.5, (7, units))
    labels, queries = random.integers(0, 7, 900), random.integers(0, 7, 1201)
    x = centres[labels] + random.normal(size=(900, units))
    y = centres[queries] + random.normal(size=(1201, units))
    model = KNeighborsClassifier(neighbours, algorithm="brute").fit(x, labels)
    expected = model.predict(y) == queries
    np.testing.assert_array_equal(
        nearest_neighbours_correct(x, labels, y, queries, neighbours), expected
    )
    assert 0.15 < expected.mean() < 1


def test_fewer_references_than_neighbours() -> None:
    x, labels = np.zeros((2, 1)), np.array([1, 1])
    assert nearest_neighbours_correct(x, labels, x, labels).all()


def test_principal_components_are_scikit_learns() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 6)) @ random.normal(size=(6, 6)) + 5
    points, shares = principal_components(x)
    model = PCA(2).fit(x)
    expected = model.transform(x)
    signs = np.sign((points * expected).sum(0))
    np.testing.assert_allclose(points, expected * signs, atol=1e-9)
    np.testing.assert_allclose(shares, model.explained_variance_ratio_, rtol=1e-10)


def test_principal_components_of_a_constant() -> None:
    points, shares = principal_components(np.ones((5, 3)))
    assert np.abs(points).max() < 1e-12
    assert np.isfinite(shares).all()
