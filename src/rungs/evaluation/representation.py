"""The separation of classes in a layer's latents, by nearest neighbours."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

NEIGHBOURS = 5


def nearest_neighbours_correct(
    reference: np.ndarray,
    reference_labels: np.ndarray,
    query: np.ndarray,
    query_labels: np.ndarray,
    neighbours: int = NEIGHBOURS,
) -> np.ndarray:
    """Return whether the majority of each query's nearest references has its label.

    Distances are Euclidean, and a tie goes to the smallest label. Latents should be samples of q, not
    its means: the means of a unit that the model does not use still vary a little with x, and a
    distance does not show how little.

    Args:
        reference: ``[n, units]`` with labels ``[n]``.
        query: ``[queries, units]`` with labels ``[queries]``.

    Returns:
        Bool, ``[queries]``.
    """
    if reference.shape[1] == 0:
        # all references are equally near, so all vote
        return np.asarray(np.bincount(reference_labels).argmax() == query_labels)
    model = KNeighborsClassifier(min(neighbours, len(reference)))
    model.fit(reference.astype(np.float64), reference_labels)
    return np.asarray(model.predict(query.astype(np.float64)) == query_labels)
