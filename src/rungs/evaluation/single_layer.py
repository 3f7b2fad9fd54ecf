"""What is measured on a model with one stochastic layer: the standard evaluation, and beside it
samples by the eyes of a classifier, the prior's components, and the posterior's shape.

==========================  =======================================================================
array                       what it is; n is the number of test images
==========================  =======================================================================
``frechet/sample_features`` classifier's features of n samples' mean images, ``[n, features]``
``frechet/test_features``   the same of the n test images' intensities
``frechet/distance``        the Frechet distance between the two
``samples/confidence``      highest class probability of each sample, ``[n]``; ``samples/label``
``average/train``           mean training image, ``[pixels]``; ``average/model`` that of the samples
``interpolation/pictures``  decoded lines between two test images' posterior means, uint8
                            ``[pairs, steps, pixels]``, and ``interpolation/log_density`` on them
``components/...``          of a mixture prior, heaviest first: ``weights`` ``[K]``, ``label`` and
                            ``confidence`` of the decoded means ``[K]``, ``pictures`` of the first
                            100, ``classes`` ``[classes, K]``: mean responsibility by class
``kl/...``                  estimates of KL(q, mixture) for up to 50 test images, see
                            :func:`divergence_arrays`
``posterior/...``           of a mixture posterior, ``[n]``: ``modes``, ``negentropy``,
                            ``components``; see :mod:`rungs.evaluation.posterior_shape`
more                        see :mod:`rungs.evaluation.latent_space` and :mod:`rungs.evaluation.probe`
==========================  =======================================================================

A data set without labels has no classifier: what it would judge, and what is told class by class,
is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.data.prepared import read_images
from rungs.evaluation import standard
from rungs.evaluation.classifier import Classifier
from rungs.evaluation.frechet import frechet_distance
from rungs.evaluation.latent_space import (
    fitted_arrays,
    plane_arrays,
    rescaled_arrays,
    scale_arrays,
)
from rungs.evaluation.pictures import PICTURES, as_bytes
from rungs.evaluation.posterior_shape import shape_of
from rungs.evaluation.probe import probe_arrays
from rungs.evaluation.standard import Split
from rungs.models.protocol import draw_noise, noise_sizes
from rungs.numerics.seeds import generator
from rungs.probability.divergences import lower, upper
from rungs.probability.mixture import Mixture
from rungs.probability.posteriors import FullGaussian, MixturePosterior
from rungs.training.trainer import Spec

#: pairs of test images and points on the line between them
PAIRS, POINTS = 4, 11
#: images whose divergence is estimated in every way, and draws of the reference
KL_IMAGES, KL_DRAWS = 50, 5000
#: numbers of draws of the sampled estimate; each divides :data:`KL_DRAWS`
KL_NUMBERS = (1, 10, 100)
#: draws of each component of a mixture posterior
SHAPE_DRAWS = 400


def evaluate(
    folder: Path,
    data: Path,
    settings: dict[str, Any],
    output: Path | None = None,
    shards: Sequence[Path] = (),
    *,
    classifier: Path | None = None,
) -> None:
    """Measure a trained run; see :func:`rungs.evaluation.standard.evaluate`.

    Args:
        classifier: the data set's, None where it has no labels.
    """
    judge = None if classifier is None else Classifier.read(classifier)

    def more(model: Any, spec: Spec, train: Split, test: Split) -> dict[str, Any]:
        greys = Split.read(data, "test", settings["images"], binary=False)
        average = read_images(data, "train").reshape(-1, test.x.shape[1]).mean(0) / 255
        return {
            "average/train": average.astype(np.float32),
            **sample_arrays(model, spec, greys.x, judge, settings["chunk_rows"]),
            **interpolation_arrays(model, test),
            **component_arrays(model, test, judge),
            **divergence_arrays(model, spec, test),
            **shape_arrays(model, spec, test, settings["chunk_rows"]),
            **latent_arrays(model, spec, train, test, greys.x, judge, settings),
        }

    standard.evaluate(folder, data, settings, output, shards, classifier, more)


@torch.no_grad()
def samples(model: Any, count: int, seed: int, rows: int) -> Tensor:
    """Mean images of ``count`` draws from the prior, ``[count, pixels]``."""
    noise = draw_noise(noise_sizes(model), count, generator=generator(seed, "samples"))
    latents = model.generate(noise)[0]
    return torch.cat([model.decode(block) for block in latents.split(rows)])


def sample_arrays(
    model: Any, spec: Spec, greys: Tensor, judge: Classifier | None, rows: int
) -> dict[str, Any]:
    """As many samples as test images, and what the classifier makes of them."""
    drawn = samples(model, len(greys), spec["seed"], rows)
    average = {"average/model": drawn.double().mean(0).float().numpy()}
    if judge is None:
        return average
    confidence, label = judge.probabilities(drawn).max(1)
    features, reference = judge.features(drawn), judge.features(greys)
    return average | {
        "frechet/sample_features": features,
        "frechet/test_features": reference,
        "frechet/distance": frechet_distance(features, reference)[0],
        "samples/confidence": confidence.numpy(),
        "samples/label": label.numpy(),
    }


@torch.no_grad()
def interpolation_arrays(model: Any, test: Split) -> dict[str, Any]:
    """Straight lines in the latent space between test images of different classes, or between the
    first ones where there are no classes."""
    chosen = list(range(2 * PAIRS))
    if test.labelled:
        labels = np.unique(test.labels)[: 2 * PAIRS]
        chosen = [int(np.flatnonzero(test.labels == label)[0]) for label in labels]
    chosen = chosen[: len(chosen) // 2 * 2]
    posterior, prior = model.encode(test.x[chosen])
    start, end = posterior.mean[0::2], posterior.mean[1::2]
    along = torch.linspace(0, 1, POINTS).reshape(1, -1, 1)
    line = start.unsqueeze(1) + along * (end - start).unsqueeze(1)
    return {
        "interpolation/pictures": as_bytes(model.decode(line)),
        "interpolation/log_density": prior.log_density(line).sum(-1).numpy(),
    }


@torch.no_grad()
def component_arrays(model: Any, test: Split, judge: Classifier | None) -> dict[str, Any]:
    """The components of a mixture prior, heaviest first; nothing for another prior."""
    posterior, prior = model.encode(test.x)
    if not isinstance(prior, Mixture):
        return {}
    order = prior.log_weights.argsort(descending=True, stable=True)
    images = model.decode(prior.means[order])
    arrays = {
        "components/weights": prior.log_weights[order].exp().numpy(),
        "components/pictures": as_bytes(images[:PICTURES]),
    }
    if judge is None:
        return arrays
    confidence, label = judge.probabilities(images).max(1)
    shares = prior.responsibilities(posterior.mean)[:, order]
    classes = [shares[torch.from_numpy(test.labels == c)].mean(0) for c in np.unique(test.labels)]
    return arrays | {
        "components/confidence": confidence.numpy(),
        "components/label": label.numpy(),
        "components/classes": torch.stack(classes).numpy(),
    }


@torch.no_grad()
def divergence_arrays(model: Any, spec: Spec, test: Split) -> dict[str, Any]:
    """Every estimate of the KL to a mixture prior, ``[images]``, nats; nothing for another prior.

    ``kl/reference`` is the mean of ``log q - log p`` over 5,000 draws, ``kl/reference_se`` its
    standard error, ``kl/spread`` ``[numbers, images]`` the standard deviation of the estimate with
    the ``kl/numbers`` of draws; ``kl/upper`` and ``kl/lower`` are the bounds.
    """
    x = test.x[:KL_IMAGES]
    posterior, prior = model.encode(x)
    if not isinstance(prior, Mixture):
        return {}
    random = generator(spec["seed"], "divergence")
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


def shape_arrays(model: Any, spec: Spec, test: Split, rows: int) -> dict[str, Any]:
    """The shape of each test image's mixture posterior; nothing for another posterior."""
    random = generator(spec["seed"], "shape")
    found = []
    for block in test.x.split(max(1, rows // 50)):
        with torch.no_grad():
            posterior, _ = model.encode(block)
        if not isinstance(posterior, MixturePosterior):
            return {}
        found.append(shape_of(posterior, SHAPE_DRAWS, random))
    return {
        f"posterior/{name}": torch.cat([getattr(shape, name) for shape in found]).numpy()
        for name in ("modes", "negentropy", "components")
    }


@torch.no_grad()
def latent_arrays(
    model: Any,
    spec: Spec,
    train: Split,
    test: Split,
    greys: Tensor,
    judge: Classifier | None,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """The latent space in pictures, rescaled, sampled by a fitted density, as a feature map."""
    if model.units == 0:
        return {}
    seed, rows = spec["seed"], settings["chunk_rows"]
    random = generator(seed, "codes")

    def draw(x: Tensor) -> Tensor:
        noise = draw_noise(noise_sizes(model), len(x), generator=random)
        sample: Tensor = model.draw(model.encode(x), noise)[0].sample
        return sample

    codes, test_codes = draw(train.x), draw(test.x)
    arrays = {
        **plane_arrays(model, code_of(model, test.x[:1])[0]),
        **rescaled_arrays(model, test.x, seed, rows),
        **scale_arrays(model, test.x),
        **fitted_arrays(model.decode, codes, test_codes, greys, judge, seed),
    }
    if test.labelled and model.units in settings.get("probe_latents", ()):
        with torch.enable_grad():
            arrays |= probe_arrays(model, code_of, train, test, settings["probe_labels"], seed)
    return arrays


def code_of(model: Any, x: Tensor) -> Tensor:
    """The posterior means of ``x [n, pixels]``, ``[n, units]``."""
    code: Tensor = model.posterior(x).mean
    return code
