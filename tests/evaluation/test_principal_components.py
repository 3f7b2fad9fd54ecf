"""Principal components against scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from blobs import blobs
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
