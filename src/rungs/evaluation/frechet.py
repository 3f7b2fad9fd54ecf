"""The Frechet distance of two sets of images in a classifier's features (Heusel et al. 2017).

It is ``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))``, with the means and covariances of the two sets.

Libraries compute it for one pair of sets, with Inception's features and torch. Claims need it for many
resamples of the images, without torch, so the trace comes from eigenvalues of a stack of symmetric
matrices. ``scipy.linalg.sqrtm`` takes one matrix, and warns where a feature is 0 for all images.
"""

from __future__ import annotations

import numpy as np


def frechet_distance(
    first: np.ndarray,
    second: np.ndarray,
    first_weights: np.ndarray | None = None,
    second_weights: np.ndarray | None = None,
) -> np.ndarray:
    """Return the squared Frechet distance of two sets of features, ``[resamples]``.

    Args:
        first: ``[n, features]``.
        second: ``[m, features]``.
        first_weights: ``[resamples, n]``, each row adding up to 1; by default one uniform row.
        second_weights: ``[resamples, m]``, likewise.
    """
    mean1, covariance1 = moments(first, first_weights)
    mean2, covariance2 = moments(second, second_weights)
    # tr (S1 S2)^(1/2) from the symmetric S1^(1/2) S2 S1^(1/2), which has the same eigenvalues
    values, vectors = np.linalg.eigh(covariance1)
    root = vectors * np.sqrt(values.clip(0))[..., None, :] @ np.swapaxes(vectors, -1, -2)
    product = np.linalg.eigvalsh(root @ covariance2 @ root)
    traces = np.trace(covariance1, axis1=-2, axis2=-1) + np.trace(covariance2, axis1=-2, axis2=-1)
    distance = np.square(mean1 - mean2).sum(-1) + traces - 2 * np.sqrt(product.clip(0)).sum(-1)
    return np.asarray(distance)


def moments(features: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted means ``[resamples, features]`` and covariances ``[resamples, features, features]``."""
    x = features.astype(np.float64)
    if weights is None:
        weights = np.full((1, len(x)), 1 / len(x))
    mean = weights @ x
    products = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    second = (weights @ products).reshape(-1, x.shape[1], x.shape[1])
    return mean, second - mean[:, :, None] * mean[:, None, :]
