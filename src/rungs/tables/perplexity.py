"""``perplexity``: likelihood a dimension, and what samples and posteriors look like beside it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from rungs.evaluation.lk_error import lk_standard_error
from rungs.storage import result_file
from rungs.storage.result_file import Stored
from rungs.study.layout import Files
from rungs.study.settings import settings_of
from rungs.tables.families import family_columns

#: A unimodal posterior is not Gaussian if it is further than this from the Gaussian of its moments,
#: ``KL(q || N(mean, covariance))`` in nats.
NOT_GAUSSIAN = 0.01
ARRAYS = [
    "test/lk",
    "test/lk_error",
    "test/nested_k",
    "frechet/distance",
    "posterior/",
    "pictures/originals",
]


def make(files: Files) -> pd.DataFrame:
    """One row a run.

    ``bits_per_dim`` is ``-L_k/(D log 2)`` and ``perplexity`` ``exp(-L_k/D)``, D being pixels times
    channels: of binarised pixels for a Bernoulli likelihood, of 256 grey levels for a discretised
    one; the two are not comparable. Both are empty, and ``likelihood`` says ``none``, where a model
    has no likelihood. For mixture posteriors: the share of test images whose posterior has several
    modes, the share with one mode that is not Gaussian, and the mean number of components that can
    be told apart.
    """
    rows = []
    for path in files["evaluation"]:
        evaluation = result_file.read(path, only=ARRAYS)
        settings = settings_of(evaluation)
        distance = evaluation.arrays.get("frechet/distance")
        rows.append(
            {
                **{name: settings[name] for name in ("run", "dataset", "variant", "seed")},
                **family_columns(settings),
                "importance_samples": settings["training"]["importance_samples"],
                **likelihood_columns(evaluation),
                "frechet": None if distance is None else float(distance),
                **shape_columns(evaluation),
            }
        )
    table = pd.DataFrame(rows)
    if "latent_dim" in table:
        table["latent_dim"] = table["latent_dim"].astype("Int64")
        table["k"] = table["k"].astype("Int64")
    return table


def likelihood_columns(evaluation: Stored) -> dict[str, float | None]:
    """L_k a dimension; empty without a likelihood."""
    names = ("k", "test_lk", "test_lk_se", "bits_per_dim", "bits_per_dim_se", "perplexity")
    if "test/lk" not in evaluation.arrays:
        return dict.fromkeys(names)
    dimensions = evaluation["pictures/originals"].shape[1]
    mean, error = float(evaluation["test/lk"].mean()), lk_standard_error(evaluation.arrays)
    bits = 1 / (dimensions * math.log(2))
    with np.errstate(over="ignore"):  # infinite for a model that has hardly been trained
        perplexity = float(np.exp(-mean / dimensions))
    values = (mean, error, -mean * bits, error * bits, perplexity)
    return dict(zip(names, (int(evaluation["test/nested_k"][-1]), *values), strict=True))


def shape_columns(evaluation: Stored) -> dict[str, float | None]:
    """Shares of multimodal and of unimodal but not Gaussian posteriors, and components in use."""
    names = ("multimodal", "unimodal_not_gaussian", "components_in_use")
    if "posterior/modes" not in evaluation.arrays:
        return dict.fromkeys(names)
    one = evaluation["posterior/modes"] == 1
    bent = evaluation["posterior/negentropy"] > NOT_GAUSSIAN
    values = ((~one).mean(), (one & bent).mean(), evaluation["posterior/components"].mean())
    return dict(zip(names, map(float, values), strict=True))
