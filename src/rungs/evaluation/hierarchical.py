"""The evaluation of models with latents in layers.

The arrays are described in :mod:`rungs.evaluation.bounds`, :mod:`~rungs.evaluation.activity`,
:mod:`~rungs.evaluation.pictures` and :mod:`~rungs.evaluation.aggregate`, and at
:func:`representation_arrays`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.evaluation.activity import unit_arrays
from rungs.evaluation.aggregate import aggregate_arrays
from rungs.evaluation.bounds import bound_arrays
from rungs.evaluation.evaluator import Evaluator
from rungs.evaluation.materials import Materials
from rungs.evaluation.pictures import picture_arrays
from rungs.evaluation.representation import nearest_neighbours_correct
from rungs.evaluation.splits import Split
from rungs.models.protocol import LatentVariableModel, draw_noise, noise_sizes
from rungs.numerics.seeds import generator
from rungs.study.settings import RunSettings


class HierarchicalEvaluator(Evaluator):
    """Measures VAEs and ladder VAEs of any depth."""

    def arrays(self, materials: Materials) -> dict[str, Any]:
        """Return bounds, statistics of units, representations, pictures and aggregate posteriors."""
        model, settings, evaluation = self.model, self.settings, materials.evaluation
        train, test, rows = materials.train, materials.test, evaluation["chunk_rows"]
        return {
            **bound_arrays(model, settings, materials, rows),
            **unit_arrays(model, settings, test.x, evaluation),
            **representation_arrays(model, settings, train, test),
            **picture_arrays(model, settings, test.x),
            **aggregate_arrays(model, settings["seed"], train.x, test.x, rows),
        }


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
