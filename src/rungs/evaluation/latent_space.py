"""The latent space of one layer, of VAEs and of plain autoencoders: pictures of it, and rescaled latents.

=====================================  ============================================================
array                                  content; n is the number of test images
=====================================  ============================================================
``manifold/pictures``                  decoded lattice over the plane, uint8 ``[side, side, pixels]``;
                                       rows go down the second latent, columns along the first
``traversal/pictures``                 one latent moved, the others at a test image's code, uint8
                                       ``[units, steps, pixels]``; ``traversal/values`` ``[steps]``
``posterior/scale``                    of a full covariance, its Cholesky factor ``[n, units, units]``
``rescale/factors``                    factors c by which every latent is multiplied, ``[factors]``
``rescale/image_kl``                   KL of each latent then, ``[factors, n, units]``, nats
``rescale/reconstruction``             ``log p(x|z)`` then, the decoder undoing it, ``[factors, n]``
``interpolation/pictures``             decoded lines between the posterior means of two test images,
                                       uint8 ``[pairs, steps, pixels]``
``interpolation/log_density``          the prior's log-density on them, ``[pairs, steps]``, nats
=====================================  ============================================================
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from rungs.evaluation.lines import between
from rungs.evaluation.pictures import as_bytes
from rungs.evaluation.splits import Split
from rungs.evaluation.subsets import drawn
from rungs.models.protocol import draw_noise
from rungs.numerics.seeds import generator
from rungs.probability.gaussian import DiagonalGaussian, standard_gaussian_like
from rungs.probability.mixture import Mixture
from rungs.probability.posteriors import FullGaussian

#: points a side of the lattice; steps of a traversal and the probability that it leaves out
LATTICE = 20
STEPS, OUTSIDE = 11, 0.02
#: units beyond which there are no traversals, and no stored Cholesky factors
MOST_TRAVERSED, MOST_SCALES = 20, 16
#: by which the latents are multiplied
FACTORS = (0.5, 0.8, 1.0, 1.25, 2.0)
#: pairs of test images and points on the line between them
PAIRS, POINTS = 4, 11


def lattice(points: int) -> np.ndarray:
    """Return the middle quantiles of N(0, 1) in ``points`` equally probable intervals.

    >>> lattice(2).round(3).tolist()
    [-0.674, 0.674]
    """
    return np.asarray(ndtri((np.arange(points) + 0.5) / points))


@torch.no_grad()
def plane_arrays(model: Any, code: Tensor) -> dict[str, Any]:
    """Return the decoded lattice of a plane, and pictures of one latent moved at a time.

    Args:
        code: that of a test image, ``[units]``.
    """
    arrays: dict[str, Any] = {}
    units = len(code)
    if units == 2:
        axis = torch.from_numpy(lattice(LATTICE)).float()
        first, second = torch.meshgrid(axis, axis.flip(0), indexing="xy")
        arrays["manifold/pictures"] = as_bytes(model.decode(torch.stack([first, second], -1)))
    if 1 <= units <= MOST_TRAVERSED:
        values = torch.from_numpy(ndtri(np.linspace(OUTSIDE / 2, 1 - OUTSIDE / 2, STEPS))).float()
        moved = code.expand(units, STEPS, units).clone()
        for unit in range(units):
            moved[unit, :, unit] = values
        arrays["traversal/pictures"] = as_bytes(model.decode(moved))
        arrays["traversal/values"] = values.numpy()
    return arrays


@torch.no_grad()
def rescaled_arrays(model: Any, x: Tensor, seed: int, rows: int) -> dict[str, Any]:
    """Return KL and reconstruction when every latent is rescaled, and the decoder undoes it.

    The mean and the deviation of every latent are multiplied by a factor, and the weights of the layer
    after the latents are divided by it (Asperti 2019). Posteriors that are not diagonal and mixture
    priors have none of these arrays.
    """
    posterior, prior = model.encode(x)
    if not isinstance(posterior, DiagonalGaussian) or isinstance(prior, Mixture) or not model.units:
        return {}
    noise = draw_noise(model.noise_sizes, len(x), generator=generator(seed, "rescale"))[0]
    kl, reconstruction = [], []
    for factor in FACTORS:
        scaled = DiagonalGaussian(factor * posterior.mean, factor**2 * posterior.variance)
        kl.append(scaled.divergence(standard_gaussian_like(scaled.mean)))
        undoing = copy.deepcopy(model)
        undoing.undo_scale(factor)
        z = scaled.sample(noise)
        parts = zip(x.split(rows), z.split(rows), strict=True)
        reconstruction.append(torch.cat([undoing.log_likelihood(*part) for part in parts]))
    return {
        "rescale/factors": np.array(FACTORS),
        "rescale/image_kl": torch.stack(kl).numpy(),
        "rescale/reconstruction": torch.stack(reconstruction).numpy(),
    }


@torch.no_grad()
def scale_arrays(model: Any, x: Tensor) -> dict[str, Any]:
    """Return the Cholesky factors of a posterior with full covariance; nothing for another."""
    posterior, _ = model.encode(x)
    if not isinstance(posterior, FullGaussian) or posterior.mean.shape[-1] > MOST_SCALES:
        return {}
    return {"posterior/scale": posterior.scale.numpy()}


@torch.no_grad()
def interpolation_arrays(model: Any, test: Split) -> dict[str, Any]:
    """Decode straight lines in the latent space between the posterior means of two test images.

    The images are drawn. Where there are classes, the two are of different ones.
    """
    order = drawn(len(test.x), len(test.x))
    chosen = order[: 2 * PAIRS]
    if test.labelled:
        classes, first = np.unique(test.labels[order], return_index=True)
        chosen = order[first[np.sort(drawn(2 * PAIRS, len(classes)))]]
    chosen = chosen[: len(chosen) // 2 * 2]
    posterior, prior = model.encode(test.x[torch.from_numpy(chosen)])
    line = between(posterior.mean, POINTS)
    return {
        "interpolation/pictures": as_bytes(model.decode(line)),
        "interpolation/log_density": prior.log_density(line).sum(-1).numpy(),
    }
