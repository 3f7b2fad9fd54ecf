"""The components of every layer's aggregate posterior, as an evaluation stores them.

=================================  ================================================================
array                              content; n is the number of test images
=================================  ================================================================
``layers/<i>/posterior_mean``      the components' means, ``[n, units]``, or ``[n, C, units]`` where
                                   q(z|x) is a mixture; ``posterior_variance`` likewise
``layers/<i>/posterior_weight``    of a mixture, ``[n, C]``
``layers/<i>/posterior_kind``      one of :data:`rungs.evaluation.definitions.POSTERIOR_KINDS`
``layers/<i>/test_moments``        the columns :data:`rungs.evaluation.definitions.MOMENTS`, ``[units, 8]``
``layers/<i>/train_moments``       the same over all training images, the population, where Q is
                                   ``exact``, else over those of the evaluation
=================================  ================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.evaluation import moments
from rungs.evaluation.definitions import POSTERIOR_KINDS
from rungs.evaluation.kolmogorov_smirnov import kolmogorov_smirnov
from rungs.models.protocol import Layer, draw_noise, noise_sizes
from rungs.numerics.seeds import generator
from rungs.probability.posteriors import MixturePosterior


@dataclass(frozen=True)
class Components:
    """The components of one layer's Q(z).

    Attributes:
        mean, variance: ``[n, units]``, or ``[n, C, units]`` where q(z|x) is a mixture.
        weight: of a mixture, ``[n, C]``.
        kind: one of :data:`rungs.evaluation.definitions.POSTERIOR_KINDS`.
    """

    mean: np.ndarray
    variance: np.ndarray
    weight: np.ndarray | None
    kind: str

    def summary(self) -> np.ndarray:
        """Return :data:`rungs.evaluation.definitions.MOMENTS` of each unit, ``[units, 8]``."""
        mean, variance, share = flat(self.mean, self.variance, self.weight)
        found = moments.moments(mean, variance, share)
        distance, error = kolmogorov_smirnov(mean, variance, share)
        columns = [found.mean, found.variance_of_mean, found.mean_variance, found.variance]
        columns += [found.skewness, found.kurtosis, distance, error]
        return np.stack(columns, 1)


def flat(
    mean: np.ndarray, variance: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return all components in one row, ``[components, units]``, and their weights, if they have any."""
    if weight is None:
        return mean, variance, None
    units = mean.shape[-1]
    share = weight.ravel().astype(np.float64)
    return mean.reshape(-1, units), variance.reshape(-1, units), share / share.sum()


def components_of(layer: Layer) -> Components:
    """Return the components of Q that one draw of a layer gives, its noise being ``[1, n, units]``.

    They are ``exact`` where q(z|x) does not depend on the draw: then they are those of Q itself.
    Otherwise the latent is standardised by its prior, ``(z - mu_p)/sigma_p``, given the draw of the layer
    on which the prior depends. They are ``conditional`` where that layer is drawn first, so that the
    latent is Gaussian given it, and ``points``, the samples themselves, where it is drawn from the latent.
    """
    posterior, prior = layer.posterior, layer.prior
    if isinstance(posterior, MixturePosterior):
        weight = posterior.log_weights.exp().numpy()
        return Components(posterior.means.numpy(), posterior.variances.numpy(), weight, "exact")
    mean, variance = posterior.mean, posterior.variance  # type: ignore[attr-defined]
    if mean.dim() == 2:
        return Components(mean.numpy(), variance.numpy(), None, "exact")
    scale = prior.variance  # type: ignore[attr-defined]
    if layer.analytic:
        mean, variance, kind = (mean - prior.mean) / scale.sqrt(), variance / scale, "conditional"
    else:
        mean, kind = (layer.sample - prior.mean) / scale.sqrt(), "points"
        variance = torch.zeros_like(mean)
    return Components(mean[0].numpy(), variance[0].numpy(), None, kind)


@torch.no_grad()
def components(model: Any, x: Tensor, random: torch.Generator, rows: int) -> list[Components]:
    """Return the components of every layer's Q over the images ``x [n, pixels]``, bottom first."""
    parts = []
    for block in x.split(rows):
        noise = draw_noise(noise_sizes(model), 1, len(block), generator=random)
        parts.append([components_of(layer) for layer in model.draw(model.encode(block), noise)])
    return [
        Components(
            np.concatenate([c.mean for c in layer]),
            np.concatenate([c.variance for c in layer]),
            None
            if layer[0].weight is None
            else np.concatenate([c.weight for c in layer if c.weight is not None]),
            layer[0].kind,
        )
        for layer in zip(*parts, strict=True)
    ]


def aggregate_arrays(
    model: Any, seed: int, population: Tensor, train: Tensor, test: Tensor, rows: int
) -> dict[str, Any]:
    """Return the arrays of every layer.

    Args:
        population: all training images, ``[n, pixels]``.
        train: the training images of the evaluation; the same tensor where these are all.
        test: the test images.
    """

    def layers(x: Tensor, purpose: str) -> list[Components]:
        return components(model, x, generator(seed, f"aggregate {purpose}"), rows)

    everything = layers(population, "train")
    some = everything if train is population else layers(train, "train")
    arrays: dict[str, Any] = {}
    for i, (whole, part, found) in enumerate(
        zip(everything, some, layers(test, "test"), strict=True), 1
    ):
        exact = found.kind == "exact"
        arrays[f"layers/{i}/train_moments"] = (whole if exact else part).summary()
        arrays[f"layers/{i}/test_moments"] = found.summary()
        arrays[f"layers/{i}/posterior_mean"] = found.mean
        arrays[f"layers/{i}/posterior_variance"] = found.variance
        arrays[f"layers/{i}/posterior_kind"] = np.array(POSTERIOR_KINDS.index(found.kind))
        if found.weight is not None:
            arrays[f"layers/{i}/posterior_weight"] = found.weight
    return arrays
