"""The logistic regression against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from blobs import blobs
from rungs.evaluation.logistic_regression import classify, logistic_regression


@pytest.mark.parametrize(("n", "d"), [(300, 5), (40, 90)])
@pytest.mark.parametrize("penalty", [1e-3, 1e-1])
def test_the_probe_is_scikit_learns(n: int, d: int, penalty: float) -> None:
    """Fewer images than features as well, where the fit is done in their span."""
    x, y = blobs(n, d, 4)
    weights = logistic_regression(x, y, 4, penalty, tolerance=1e-9)
    reference = LogisticRegression(C=1 / (n * penalty), tol=1e-10, max_iter=20_000).fit(x, y)
    np.testing.assert_allclose(weights[:-1], reference.coef_.T, atol=2e-4)
    gaps = weights[-1] - reference.intercept_
    np.testing.assert_allclose(gaps, gaps.mean(), atol=2e-4)
    query, _ = blobs(500, d, 4, seed=1)
    predicted = (query @ weights[:-1] + weights[-1]).argmax(1)
    assert np.mean(predicted == reference.predict(query)) > 0.995


def test_classes_need_not_be_consecutive() -> None:
    x, y = blobs(400, 3, 3)
    names = np.array([7, 2, 9])
    assert np.mean(classify(x[:300], names[y[:300]], x[300:]) == names[y[300:]]) > 0.6
