"""A mixture of Gaussians with full covariances, fitted to codes by EM (scikit-learn's).

It is the density of ex-post density estimation (Ghosh et al. 2019).
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits


def fit(x: np.ndarray, components: int, random: np.random.RandomState) -> GaussianMixture:
    """Fit a mixture to ``x [n, units]`` by EM, from the clusters of k-means.

    EM ends when the mean log-density gains less than 1e-3 in an iteration, or after 100. There are at
    most n/2 components.

    Args:
        random: seeds k-means here, and later :func:`sample`.
    """
    mixture = GaussianMixture(max(1, min(components, len(x) // 2)), random_state=random)
    # k-means adds up what its threads found in the order in which they finish
    with threadpool_limits(1, user_api="openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(x.astype(np.float64))


def sample(mixture: GaussianMixture, count: int, random: np.random.RandomState) -> np.ndarray:
    """Draw ``[count, units]`` in random order."""
    # scikit-learn gives the draws component by component
    return np.asarray(random.permutation(mixture.sample(count)[0]))
