"""Principal components against scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from rungs.figures.ladder_pca import principal_components


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
