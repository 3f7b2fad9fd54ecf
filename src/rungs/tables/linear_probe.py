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
    "pixels": ("raw pixels", "frozen"),
    "pca": ("as many principal components", "frozen"),
    "finetuned": ("network initialised with the encoder", "trained"),
    "random": ("network initialised at random", "trained"),
}
COLUMNS = [
    *("run", "dataset", "variant", "latent_dim", "seed", "layer", "features", "encoder"),
    *("labels_a_class", "labels", "accuracy", "accuracy_se"),
]


def make(files: Files) -> pd.DataFrame:
    """One row a run, number of labels and way; accuracy on the test images, its standard error over
    them. With few labels an image's correctness is an average over several draws of the labels."""
    rows = []
    for path in files["evaluation"]:
        evaluation = result_file.read(path, only=["probe/"])
        settings = settings_of(evaluation)
        matches = [re.fullmatch(r"probe/(\d+)/count", name) for name in evaluation.arrays]
        for each in sorted(int(match[1]) for match in matches if match):
            for name, (features, encoder) in WAYS.items():
                correct = evaluation[f"probe/{each}/{name}"].astype(np.float64)
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
                        "accuracy": correct.mean(),
                        "accuracy_se": correct.std(ddof=1) / np.sqrt(len(correct)),
                    }
                )
    return pd.DataFrame(rows, columns=COLUMNS)
