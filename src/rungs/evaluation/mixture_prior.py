"""A mixture prior: its components, and every estimate of the KL divergence from the posterior.

==========================  =======================================================================
array                       content; K components, heaviest first
==========================  =======================================================================
``components/weights``      ``[K]``
``components/pictures``     the decoded means of the first 100, uint8 ``[pictures, pixels]``
``components/label``        the class that the classifier gives each decoded mean, ``[K]``
``components/confidence``   its probability, ``[K]``
``components/classes``      mean responsibility of each component by class, ``[classes, K]``
``kl/...``                  see :func:`divergence_arrays`
==========================  =======================================================================

The labels and what is counted by class need a classifier. Other priors have none of these arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rungs.evaluation.classifier import Classifier
from rungs.evaluation.definitions import PICTURES
from rungs.evaluation.pictures import as_bytes
from rungs.evaluation.splits import Split
from rungs.models.protocol import draw_noise, noise_sizes
from rungs.numerics.seeds import generator
from rungs.probability.divergences import lower, upper
from rungs.probability.mixture import Mixture
from rungs.probability.posteriors import FullGaussian
from rungs.study.settings import RunSettings

#: images whose divergence is estimated in every way, and draws of the reference
KL_IMAGES, KL_DRAWS = 50, 5000
#: numbers of draws of the sampled estimate; each divides :data:`KL_DRAWS`
KL_NUMBERS = (1, 10, 100)


@torch.no_grad()
def component_arrays(model: Any, test: Split, classifier: Classifier | None) -> dict[str, Any]:
    """Return the components of a mixture prior, heaviest first; nothing for another prior."""
    posterior, prior = model.encode(test.x)
    if not isinstance(prior, Mixture):
        return {}
    order = prior.log_weights.argsort(descending=True, stable=True)
    images = model.decode(prior.means[order])
    arrays = {
        "components/weights": prior.log_weights[order].exp().numpy(),
        "components/pictures": as_bytes(images[:PICTURES]),
    }
    if classifier is None:
        return arrays
    confidence, label = classifier.probabilities(images).max(1)
    shares = prior.responsibilities(posterior.mean)[:, order]
    classes = [shares[torch.from_numpy(test.labels == c)].mean(0) for c in np.unique(test.labels)]
    return arrays | {
        "components/confidence": confidence.numpy(),
        "components/label": label.numpy(),
        "components/classes": torch.stack(classes).numpy(),
    }


@torch.no_grad()
def divergence_arrays(model: Any, settings: RunSettings, test: Split) -> dict[str, Any]:
    """Return every estimate of the KL to a mixture prior for up to 50 test images, ``[images]``, nats.

    ``kl/reference`` is the mean of ``log q - log p`` over 5,000 draws and ``kl/reference_se`` its
    standard error. ``kl/spread [numbers, images]`` is the standard deviation of the estimate with the
    ``kl/numbers`` of draws. ``kl/upper`` and ``kl/lower`` are the bounds. Another prior has none.
    """
    x = test.shown(KL_IMAGES)
    posterior, prior = model.encode(x)
    if not isinstance(prior, Mixture):
        return {}
    random = generator(settings["seed"], "divergence")
    parts = []
    for _ in range(0, KL_DRAWS, 50):
        noise = draw_noise(noise_sizes(model), 50, len(x), generator=random)
        parts.append(-model.draw((posterior, prior), noise)[0].log_ratio().sum(-1).double())
    values = torch.cat(parts)
    spread = [values.reshape(-1, n, len(x)).mean(1).std(0) for n in KL_NUMBERS]
    arrays = {
        "kl/reference": values.mean(0),
        "kl/reference_se": values.std(0) / KL_DRAWS**0.5,
        "kl/numbers": torch.tensor(KL_NUMBERS),
        "kl/spread": torch.stack(spread),
        "kl/upper": upper(posterior, prior),
    }
    if not isinstance(posterior, FullGaussian):
        arrays["kl/lower"] = lower(posterior, prior)
    return {name: array.numpy() for name, array in arrays.items()}
