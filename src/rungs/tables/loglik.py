"""``loglik``: ELBO and importance weighted bound of every run, published values beside them."""

from __future__ import annotations

import csv
import math
from typing import Any

import numpy as np
import pandas as pd

from rungs import store
from rungs.config import ROOT
from rungs.convergence import converged
from rungs.layout import Files

PUBLISHED = ROOT / "resources" / "published.csv"
#: the ladder's networks; only a run that has them is compared with the paper's numbers
LATENT_SIZES = (64, 32, 16, 8, 4)
HIDDEN_SIZES = (512, 256, 128, 64, 32)


def make(files: Files) -> pd.DataFrame:
    """One row a run. Log-likelihoods are means over images in nats; higher is better."""
    published = _published()
    rows = []
    for training_path, evaluation_path in zip(files["training"], files["evaluation"], strict=True):
        training = store.read(training_path, only=["elbo"])
        evaluation = store.read(evaluation_path)
        run = evaluation.attributes["run"]
        lk = evaluation["test/lk"]
        value, checked = published.get(_key(run), (math.nan, None))
        rows.append(
            {
                "dataset": run["dataset"],
                "variant": run["variant"],
                "depth": run["depth"],
                "seed": run["seed"],
                "parameters": training.attributes["parameters"],
                "epochs": run["training"]["epochs"],
                "train_elbo": evaluation["train/elbo"].mean(dtype=np.float64),
                "test_elbo": evaluation["test/elbo"].mean(),
                "k": int(evaluation["test/nested_k"][-1]),
                "test_lk": lk.mean(),
                "test_lk_se": lk.std(ddof=1) / math.sqrt(len(lk)),
                "test_images": len(lk),
                "ess_median": np.median(evaluation["test/ess"]),
                "converged": converged(training["elbo"]),
                "published": value,
                "published_checked": checked,
            }
        )
    return pd.DataFrame(rows)


def _key(run: dict[str, Any]) -> tuple[str, str, int] | None:
    """What to look up: nothing unless the networks are the published ones."""
    depth, network = run["depth"], run["network"]
    same = (
        tuple(network["latent_sizes"][:depth]) == LATENT_SIZES[:depth]
        and tuple(network["hidden_sizes"][:depth]) == HIDDEN_SIZES[:depth]
    )
    return (run["dataset"], run["variant"], depth) if same else None


def _published() -> dict[tuple[str, str, int] | None, tuple[float, str]]:
    """The ladder's published L5000: (dataset, variant, depth) -> value and how it was checked."""
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return {
            (row["dataset"], row["variant"], int(row["depth"])): (
                float(row["value"]),
                row["checked"],
            )
            for row in csv.DictReader(file)
            if row["document"] == "ladder" and row["metric"] == "L5000"
        }
