"""``autoencoder``: what plain autoencoders reconstruct, and where samples come from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rungs.evaluation.convergence import CRITERIA, converged
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import settings_of

NAMES = ("autoencoder/", "frechet/")
DISTANCES = ("distance", "gaussian_distance", "fitted_distance", "reconstruction_distance")
ERRORS = ("squared_error", "pca_squared_error", "rotated_squared_error")
COLUMNS = [
    *("run", "dataset", "variant", "latent_dim", "seed", "parameters", "converged"),
    *("mse", "pca_mse", "rotated_mse"),
    *("prior_distance", "gaussian_distance", "fitted_distance", "reconstruction_distance"),
]


def make(files: Files) -> pd.DataFrame:
    """One row a plain autoencoder, and a run with one latent layer whose samples were compared.

    Plain autoencoders: mean squared error a pixel of the test images, of as many principal components,
    and of the test images turned by a right angle. All: Frechet distances to the test images of samples
    by the prior (of a plain autoencoder: N(0, I)), by one Gaussian and by a mixture of ten fitted to the
    codes, and of the reconstructions.
    """
    rows = []
    for training_path, evaluation_path in zip(files["training"], files["evaluation"], strict=True):
        evaluation = result_file.read(evaluation_path, only=NAMES)
        if not {"frechet/distance", "autoencoder/squared_error"} & evaluation.arrays.keys():
            continue
        training = result_file.read(training_path, only=CRITERIA)
        settings, pixels = settings_of(evaluation), training.attributes["pixels"]
        errors = [evaluation.arrays.get(f"autoencoder/{name}") for name in ERRORS]
        distances = [evaluation.arrays.get(f"frechet/{name}") for name in DISTANCES]
        values = [
            *(settings[key] for key in ("run", "dataset", "variant", "size", "seed")),
            training.attributes["parameters"],
            converged(training),
            *(None if e is None else e.mean(dtype=np.float64) / pixels for e in errors),
            *(None if d is None else float(d) for d in distances),
        ]
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return pd.DataFrame(rows, columns=COLUMNS)
