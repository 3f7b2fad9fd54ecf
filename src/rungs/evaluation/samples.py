"""Samples of a model beside the test images, in the features of the data set's classifier.

===========================  ======================================================================
array                        content; n is the number of test images
===========================  ======================================================================
``frechet/sample_features``  the classifier's features of n samples' mean images, ``[n, features]``
``frechet/test_features``    the same of the test images' intensities
``frechet/distance``         the Frechet distance between the two
``frechet/active_features``  of the samples, the inactive latents being 0; see :func:`active_arrays`
``samples/confidence``       highest class probability of each sample, ``[n]``
``samples/label``            the class of that probability, ``[n]``
``average/model``            mean of the samples, ``[pixels]``
===========================  ======================================================================

Without a classifier there is ``average/model`` alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rungs.evaluation.classifier import Classifier
from rungs.evaluation.definitions import ACTIVE_KL
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
    return decoded(model, prior_latents(model, count, seed), rows)


def prior_latents(model: Any, count: int, seed: int) -> Tensor:
    """Return the draws from the prior of which :func:`mean_images` are the images, ``[count, units]``."""
    noise = draw_noise(noise_sizes(model), count, generator=generator(seed, "samples"))
    latents: Tensor = model.generate(noise)[0]
    return latents


def decoded(model: Any, latents: Tensor, rows: int) -> Tensor:
    """Return the mean images of ``latents [n, units]``, ``[n, pixels]``."""
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


@torch.no_grad()
def active_arrays(
    model: Any,
    settings: RunSettings,
    kl: Tensor,
    count: int,
    classifier: Classifier | None,
    rows: int,
) -> dict[str, Any]:
    """Return the features of the same samples, decoded without the inactive latents.

    The latents are those of ``frechet/sample_features``, the inactive ones (mean KL of at most 0.01
    nats) being at 0, the mean of their prior. Without a classifier, or where KL has no term a latent
    (the prior or the posterior does not factorise), there is no such array.

    Args:
        kl: mean KL of each latent over the test images, ``[units]``, nats.
        count: of the samples, as many as there are test images.
    """
    separate = model.units > 0 and len(kl) == model.units
    if classifier is None or settings["network"]["prior"] != "gaussian" or not separate:
        return {}
    latents = prior_latents(model, count, settings["seed"])
    images = decoded(model, latents * (kl > ACTIVE_KL), rows)
    return {"frechet/active_features": classifier.features(images)}
