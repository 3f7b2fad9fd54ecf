"""``loglik``: ELBO and importance weighted bound of every run, published values beside them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from rungs.claims.published import beside
from rungs.evaluation.convergence import CRITERIA, converged
from rungs.evaluation.lk_error import lk_standard_error
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import settings_of
from rungs.tables.families import family_columns
from rungs.training.schedules import total_epochs

GAP = "test/lk_gap"


def make(files: Files) -> pd.DataFrame:
    """One row a run. Log-likelihoods are means over images in nats; higher is better.

    ``test_lk_gap`` is the estimate of what L_k lacks to log p(x)
    (:mod:`rungs.evaluation.remaining_gap`).
    ``test_lk_se`` is the standard error over images and, where some of them took fewer than k samples, that
    of their completion (:mod:`rungs.evaluation.two_phase`).
    ``epochs`` are those of schedule and continuation; ``converged`` is empty without a continuation.
    """
    rows = []
    for training_path, evaluation_path in zip(files["training"], files["evaluation"], strict=True):
        training = result_file.read(training_path, only=CRITERIA)
        evaluation = result_file.read(evaluation_path)
        if "test/lk" not in evaluation.arrays:
            continue  # a model without a likelihood
        settings = settings_of(evaluation)
        lk, published = evaluation["test/lk"], beside(settings, "L5000")
        rows.append(
            {
                "run": settings["run"],
                "dataset": settings["dataset"],
                "variant": settings["variant"],
                "depth": settings["depth"],
                "latent_dim": settings["size"] if settings["axis"] == "latent" else None,
                # log-likelihoods of binarised pixels and of 256 levels are not comparable
                "likelihood": family_columns(settings)["likelihood"],
                "seed": settings["seed"],
                "parameters": training.attributes["parameters"],
                "epochs": total_epochs(settings["training"]),
                "train_elbo": evaluation["train/elbo"].mean(dtype=np.float64),
                "test_elbo": evaluation["test/elbo"].mean(),
                "k": int(evaluation["test/nested_k"][-1]),
                "test_lk": lk.mean(),
                "test_lk_se": lk_standard_error(evaluation.arrays),
                "test_lk_gap": float(evaluation[GAP]) if GAP in evaluation.arrays else math.nan,
                "test_images": len(lk),
                "ess_median": np.median(evaluation["test/ess"]),
                "converged": converged(training),
                **published,
            }
        )
    table = pd.DataFrame(rows)
    return table.astype({"latent_dim": "Int64"}) if rows else table
