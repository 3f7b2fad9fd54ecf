"""``linear_probe``: the encoder as the feature map of a supervised model."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import settings_of

#: stored name -> what is classified, and whether the encoder stays as it is
WAYS = {
    "encoder": ("code", "frozen"),
    "grey": ("grey pixels", "frozen"),
    "pca": ("as many principal components", "frozen"),
    "finetuned": ("network initialised with the encoder", "trained"),
    "random": ("network initialised at random", "trained"),
}
COLUMNS = [
    *("run", "dataset", "variant", "latent_dim", "seed", "layer", "features", "encoder"),
    *("labels_a_class", "labels", "draws", "accuracy", "accuracy_se", "draws_se"),
]


def make(files: Files) -> pd.DataFrame:
    """One row a run, number of labels and way: the mean accuracy over test images and draws of the labels,
    its standard error over images (``accuracy_se``) and over draws (``draws_se``; of one draw there is
    none)."""
    rows = []
    for path in files["evaluation"]:
        evaluation = result_file.read(path, only=["probe/"])
        settings = settings_of(evaluation)
        matches = [re.fullmatch(r"probe/(\d+)/count", name) for name in evaluation.arrays]
        for each in sorted(int(match[1]) for match in matches if match):
            for name, (features, encoder) in WAYS.items():
                correct = evaluation[f"probe/{each}/correct/{name}"].astype(np.float64)
                by_draw, by_image = correct.mean(1), correct.mean(0)
                rows.append(
                    {
                        **{key: settings[key] for key in ("run", "dataset", "variant")},
                        "latent_dim": settings["size"],
                        "seed": settings["seed"],
                        "layer": 1,
                        "features": features,
                        "encoder": encoder,
                        "labels_a_class": each,
                        "labels": int(evaluation[f"probe/{each}/count"]),
                        "draws": len(correct),
                        "accuracy": correct.mean(),
                        "accuracy_se": _error(by_image),
                        "draws_se": _error(by_draw),
                    }
                )
    return pd.DataFrame(rows, columns=COLUMNS)


def _error(values: np.ndarray) -> float:
    """Return the standard error of a mean, NaN of one value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
