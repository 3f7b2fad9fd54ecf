"""Samples of each layer's latents, and how well nearest neighbours tell the classes apart in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from rungs.evaluation.splits import Split
from rungs.models.protocol import LatentVariableModel, draw_noise, noise_sizes
from rungs.numerics.seeds import generator
from rungs.study.settings import RunSettings

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


@torch.no_grad()
def representation_arrays(
    model: LatentVariableModel, settings: RunSettings, train: Split, test: Split
) -> dict[str, Any]:
    """Return one sample of each layer's latents for the test images, ``layers/<i>/sample [n, units]``.

    Where the images have classes, ``layers/<i>/knn_correct`` says for each test image whether the
    samples of the nearest training images have its class, bool ``[n]``.
    """
    random = generator(settings["seed"], "representation")

    def samples(x: Tensor) -> list[np.ndarray]:
        noise = draw_noise(noise_sizes(model), len(x), generator=random)
        return [layer.sample.numpy() for layer in model.draw(model.encode(x), noise)]

    arrays: dict[str, Any] = {}
    for i, (reference, query) in enumerate(zip(samples(train.x), samples(test.x), strict=True), 1):
        arrays[f"layers/{i}/sample"] = query
        if train.labelled and test.labelled:
            arrays[f"layers/{i}/knn_correct"] = nearest_neighbours_correct(
                reference, train.labels, query, test.labels
            )
    return arrays
