"""Samples of a model beside the test images, in the features of the data set's classifier.

==========================  =======================================================================
array                       content; n is the number of test images
==========================  =======================================================================
``frechet/sample_features`` the classifier's features of n samples' mean images, ``[n, features]``
``frechet/test_features``   the same of the test images' intensities
``frechet/distance``        the Frechet distance between the two
``samples/confidence``      highest class probability of each sample, ``[n]``
``samples/label``           the class of that probability, ``[n]``
``average/model``           mean of the samples, ``[pixels]``
==========================  =======================================================================

Without a classifier there is ``average/model`` alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rungs.evaluation.classifier import Classifier
from rungs.evaluation.frechet import frechet_distance
from rungs.models.protocol import draw_noise, noise_sizes
from rungs.numerics.seeds import generator
from rungs.study.settings import RunSettings


@torch.no_grad()
def mean_images(model: Any, count: int, seed: int, rows: int) -> Tensor:
    """Return mean images of ``count`` draws from the prior, ``[count, pixels]``.

    Args:
        rows: draws that pass the decoder at once.
    """
    noise = draw_noise(noise_sizes(model), count, generator=generator(seed, "samples"))
    latents = model.generate(noise)[0]
    return torch.cat([model.decode(block) for block in latents.split(rows)])


def sample_arrays(
    model: Any, settings: RunSettings, intensities: Tensor, classifier: Classifier | None, rows: int
) -> dict[str, Any]:
    """Compare as many samples as there are test images with these.

    Args:
        intensities: of the test images, ``[n, pixels]``.
    """
    drawn = mean_images(model, len(intensities), settings["seed"], rows)
    average = {"average/model": drawn.double().mean(0).float().numpy()}
    if classifier is None:
        return average
    confidence, label = classifier.probabilities(drawn).max(1)
    features, reference = classifier.features(drawn), classifier.features(intensities)
    return average | {
        "frechet/sample_features": features,
        "frechet/test_features": reference,
        "frechet/distance": frechet_distance(features, reference)[0],
        "samples/confidence": confidence.numpy(),
        "samples/label": label.numpy(),
    }
