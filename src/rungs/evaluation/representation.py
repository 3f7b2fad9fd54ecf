"""How well a layer's latents separate the classes."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 5


def nearest_neighbours_correct(
    reference: np.ndarray,
    reference_labels: np.ndarray,
    query: np.ndarray,
    query_labels: np.ndarray,
    neighbours: int = NEIGHBOURS,
) -> np.ndarray:
    """Whether the majority of each query's nearest references has its label, bool ``[queries]``.

    Euclidean distance; a tie goes to the smallest label. Samples of q serve as latents: the
    means of a unit that the model does not use vary a little with x, and neighbours do not
    see how little.

    Args:
        reference: ``[n, units]`` with labels ``[n]``.
        query: ``[queries, units]`` with labels ``[queries]``.
    """
    reference, query = reference.astype(np.float64), query.astype(np.float64)
    neighbours = min(neighbours, len(reference))
    classes = int(max(reference_labels.max(), query_labels.max())) + 1
    squares = np.square(reference).sum(1)
    correct = np.empty(len(query), dtype=bool)
    for start in range(0, len(query), 500):
        part = slice(start, start + 500)
        distance = squares - 2 * query[part] @ reference.T
        nearest = np.argpartition(distance, neighbours - 1, axis=1)[:, :neighbours]
        votes = np.zeros((len(nearest), classes), dtype=np.int64)
        np.add.at(votes, (np.arange(len(nearest))[:, None], reference_labels[nearest]), 1)
        correct[part] = votes.argmax(1) == query_labels[part]
    return correct


def principal_components(x: np.ndarray, components: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Projections of ``x [n, units]`` on its first principal components, ``[n, components]``, and
    the share of the variance of each. Signs make the largest loading positive."""
    centred = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:components]
    largest = np.abs(axes).argmax(1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    variances = np.square(lengths)
    return centred @ axes.T, variances[:components] / max(variances.sum(), 1e-300)
