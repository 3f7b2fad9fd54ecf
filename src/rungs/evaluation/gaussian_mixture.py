"""A mixture of Gaussians with full covariances, fitted by EM (Dempster, Laird and Rubin 1977): what
is fitted to the codes after training in ex-post density estimation (Ghosh et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

#: added to every variance, as in scikit-learn
REGULARISER = 1e-6
ITERATIONS, TOLERANCE = 100, 1e-3
LLOYD = 5


@dataclass(frozen=True)
class GaussianMixture:
    """``sum_k w_k N(m_k, S_k)``: weights ``[K]``, means ``[K, d]``, covariances ``[K, d, d]``."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def joint(self, x: np.ndarray) -> np.ndarray:
        """``log w_k N(x; m_k, S_k)``, ``[n, K]``."""
        columns = []
        for weight, mean, covariance in zip(
            self.weights, self.means, self.covariances, strict=True
        ):
            root = np.linalg.cholesky(covariance)
            white = solve_triangular(root, (x - mean).T, lower=True)
            constant = np.log(np.diag(root)).sum() + 0.5 * len(mean) * math.log(2 * math.pi)
            columns.append(math.log(weight) - constant - 0.5 * np.square(white).sum(0))
        return np.stack(columns, 1)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """``log p(x)``, ``[n]``, nats."""
        return np.asarray(logsumexp(self.joint(x), axis=1))

    def sample(self, count: int, random: np.random.Generator) -> np.ndarray:
        """``[count, d]``."""
        chosen = random.choice(len(self.weights), size=count, p=self.weights)
        noise = random.standard_normal((count, self.means.shape[1]))
        roots = np.linalg.cholesky(self.covariances)
        return np.asarray(self.means[chosen] + np.einsum("nij,nj->ni", roots[chosen], noise))


def fit(x: np.ndarray, components: int, random: np.random.Generator) -> GaussianMixture:
    """Fit to ``x [n, d]`` by EM, from k-means++ seeds and a few of Lloyd's steps.

    Ends when the mean log-density gains less than 1e-3 in an iteration, or after 100.
    """
    x = x.astype(np.float64)
    components = max(1, min(components, len(x) // 2))
    return improve(x, maximise(x, assignment(x, components, random)))


def improve(x: np.ndarray, start: GaussianMixture) -> GaussianMixture:
    """EM from a given mixture."""
    found, last = start, -math.inf
    for _ in range(ITERATIONS):
        joint = found.joint(x)
        total = logsumexp(joint, axis=1, keepdims=True)
        bound = float(total.mean())
        if bound - last < TOLERANCE:
            break
        last = bound
        found = maximise(x, np.exp(joint - total))
    return found


def maximise(x: np.ndarray, responsibilities: np.ndarray) -> GaussianMixture:
    """The M step for ``responsibilities [n, K]``."""
    counts = responsibilities.sum(0) + 1e-12
    means = responsibilities.T @ x / counts[:, None]
    covariances = []
    for k in range(len(counts)):
        residual = x - means[k]
        scatter = (responsibilities[:, k, None] * residual).T @ residual / counts[k]
        covariances.append(scatter + REGULARISER * np.eye(x.shape[1]))
    return GaussianMixture(counts / counts.sum(), means, np.array(covariances))


def assignment(x: np.ndarray, components: int, random: np.random.Generator) -> np.ndarray:
    """One-hot ``[n, K]``: the nearest of the centres that k-means++ and Lloyd's steps give."""
    centres = x[[random.integers(len(x))]]
    for _ in range(components - 1):
        nearest = _distances(x, centres).min(1).clip(1e-12)
        chosen = random.choice(len(x), p=nearest / nearest.sum())
        centres = np.vstack([centres, x[chosen]])
    for _ in range(LLOYD):
        labels = _distances(x, centres).argmin(1)
        for k in np.unique(labels):
            centres[k] = x[labels == k].mean(0)
    return np.asarray(np.eye(components)[_distances(x, centres).argmin(1)])


def _distances(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    squares = np.square(x).sum(1)[:, None] + np.square(centres).sum(1) - 2 * x @ centres.T
    return np.asarray(squares.clip(0))
