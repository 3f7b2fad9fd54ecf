"""Principal components against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from blobs import blobs
from rungs.evaluation import principal_components
from rungs.evaluation.principal_components import principal_axes


def test_principal_axes_are_scikit_learns() -> None:
    x, _ = blobs(200, 12, 3)
    query, _ = blobs(50, 12, 3, seed=1)
    centre, axes = principal_axes(x, 4)
    reference = PCA(4).fit(x)
    for images in (x, query):
        projected = (images - centre) @ axes
        np.testing.assert_allclose(
            np.abs(projected), np.abs(reference.transform(images)), atol=1e-8
        )


@pytest.mark.parametrize("few", [4096, 10], ids=["products", "Lanczos"])
def test_axes_of_large_images_are_those_of_small_ones(
    monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """By products of images and by Lanczos' method, block by block."""
    x, _ = blobs(60, 20, 3)
    x *= np.linspace(2, 0.1, 20)
    centre, axes = principal_axes(x, 5)
    monkeypatch.setattr(principal_components, "SMALL", 10)
    monkeypatch.setattr(principal_components, "FEW", few)
    monkeypatch.setattr(principal_components, "BLOCK_VALUES", 170)
    found_centre, found = principal_axes(x, 5)
    np.testing.assert_allclose(found_centre, centre, atol=1e-12)
    np.testing.assert_allclose(np.abs((found * axes).sum(0)), 1, atol=1e-8)
    np.testing.assert_allclose(found.T @ found, np.eye(5), atol=1e-8)
    same = principal_axes(x, 5)[1]
    np.testing.assert_array_equal(found, same)
    if few > 10:  # no more axes than directions
        x[3:] = x[:1]
        assert principal_axes(x, 5)[1].shape == (20, 2)
        assert principal_axes(x[:1], 5)[1].shape == (20, 0)
