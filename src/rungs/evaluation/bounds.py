"""The bounds of the images' log-likelihoods, as an evaluation stores them.

==========================  =======================================================================
array                       content; n is the number of test images
==========================  =======================================================================
``test/lk``                 L_k, ``[n]`` float64, nats
``test/elbo``               L_1, ``[n]`` float64, nats
``test/lk_error``           standard error of the mean of ``test/lk`` beside that with all samples of all
                            images, ``[]``, nats; absent where all images took all samples
                            (:mod:`rungs.evaluation.two_phase`)
``test/ess``                effective sample size of L_k, of the images that took all samples
``test/nested_k``           the ks of the nested bounds
``test/nested_lk``          the nested bounds, ``[ks, n]``, nats
``test/lk_gap``             estimate of the mean of ``log p(x) - L_k``, ``[]``, nats; see
                            :mod:`rungs.evaluation.remaining_gap`
``train/elbo``              one-draw ELBO of the training images, nats
==========================  =======================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.errors import StoreError
from rungs.evaluation import two_phase
from rungs.evaluation.likelihood import estimate
from rungs.evaluation.materials import Materials
from rungs.evaluation.remaining_gap import remaining_gap
from rungs.models.objectives import elbo_terms, objective_noise
from rungs.models.protocol import LatentVariableModel, noise_sizes
from rungs.numerics.seeds import generator
from rungs.storage import result_file
from rungs.study.layout import BEFORE
from rungs.study.settings import EvaluationSettings, RunSettings

#: in the parts of a likelihood of which some images took fewer samples: the variance of the bound with fewer
FEWER_VARIANCE = "test/fewer_variance"


def bound_arrays(
    model: LatentVariableModel, settings: RunSettings, materials: Materials, chunk_rows: int
) -> dict[str, Any]:
    """Return the bounds of test and training images; of the test images alone in a brief evaluation.

    Args:
        chunk_rows: training images that pass the networks at once.
    """
    found = (
        merged(materials.shards, BEFORE if materials.brief else "")
        if materials.shards
        else likelihood_arrays(model, settings, materials.test.x, materials.evaluation)
    )
    if FEWER_VARIANCE in found:
        found |= completed_arrays({name: np.asarray(array) for name, array in found.items()})
        del found[FEWER_VARIANCE]
    found |= gap_arrays(found["test/nested_k"], np.asarray(found["test/nested_lk"]))
    if materials.brief:
        return found
    return {"train/elbo": elbo(model, materials.train.x, settings["seed"], chunk_rows), **found}


def completed_arrays(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays in which images that took fewer samples are completed by those that took all.

    Args:
        found: the arrays of :func:`likelihood_arrays` of all test images, NaN where there is no number.
    """
    nested = found["test/nested_lk"]
    lk, error = two_phase.completed(nested[-2], nested[-1], found[FEWER_VARIANCE])
    ess = found["test/ess"]
    return {
        "test/lk": lk,
        "test/lk_error": np.array(error),
        "test/ess": ess[~np.isnan(ess)],
        "test/nested_lk": np.concatenate([nested[:-1], lk[None]]),
    }


def gap_arrays(nested_k: np.ndarray, nested_lk: np.ndarray) -> dict[str, np.ndarray]:
    """Return ``test/lk_gap`` from the nested bounds of all test images, ``[ks, n]``, if they give one."""
    gap = remaining_gap(nested_k, nested_lk.mean(1))
    return {} if gap is None else {"test/lk_gap": np.array(gap)}


def likelihood_arrays(
    model: LatentVariableModel,
    settings: RunSettings,
    x: Tensor,
    evaluation: EvaluationSettings,
    shard: tuple[int, int] = (0, 1),
) -> dict[str, Any]:
    """Return the bounds of the test images ``x [n, pixels]``, or of a part of them, as they were estimated.

    L_k is NaN for images that took fewer samples; :func:`completed_arrays` completes it once all parts are
    there, by the array :data:`FEWER_VARIANCE` among others, which other estimates lack.

    Args:
        evaluation: the configuration's ``evaluation`` section as the run sees it.
        shard: ``(i, n)`` for the i-th of n parts; see :func:`rungs.evaluation.likelihood.estimate`.

    Raises:
        StoreError: if a bound is not finite.
    """
    every = evaluation.get("refine_every", 1)
    found = estimate(
        model,
        x,
        evaluation["samples"],
        settings["seed"],
        evaluation["chunk_rows"],
        shard,
        every,
    )
    # a NaN says that an image took fewer samples only where its other bounds are finite
    if not bool(torch.isfinite(found.elbo).all()) or bool(torch.isinf(found.lk).any()):
        raise StoreError(
            f"run {settings['run']}: its likelihood is not finite; delete its folder and train it again "
            "with a lower training.learning_rate."
        )
    return {
        "test/lk": found.lk,
        "test/elbo": found.elbo,
        "test/ess": found.ess,
        "test/nested_k": np.array(found.nested_k),
        "test/nested_lk": found.nested_lk,
        **({FEWER_VARIANCE: found.fewer_variance} if every > 1 else {}),
    }


def merged(shards: Sequence[Path], prefix: str = "") -> dict[str, np.ndarray]:
    """Return the arrays of all test images from those of the shards, in order.

    Args:
        prefix: of the arrays' names in the shards, which their names in the result lack.
    """
    parts = [result_file.read(path, only=[f"{prefix}test/"]) for path in shards]
    return {
        name.removeprefix(prefix): array
        if name.endswith("test/nested_k")
        else np.concatenate([part[name] for part in parts], axis=-1)
        for name, array in parts[0].arrays.items()
    }


@torch.no_grad()
def elbo(model: LatentVariableModel, x: Tensor, seed: int, chunk_rows: int) -> Tensor:
    """Return the one-draw ELBO of each image of ``x [images, pixels]``, ``[images]``, nats."""
    random = generator(seed, "train elbo")
    parts = []
    for block in x.split(chunk_rows):
        terms = elbo_terms(model, block, objective_noise(noise_sizes(model), len(block), random))
        parts.append(terms.reconstruction - terms.kl.sum(-1))
    return torch.cat(parts)
