"""``vq``: the VQ-VAE, its codes and its bound, beside the continuous VAE's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from rungs.data.image_shape import ImageShape
from rungs.evaluation.convergence import CRITERIA, converged
from rungs.evaluation.lk_error import lk_standard_error
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import RunSettings, settings_of

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = [
    *("run", "dataset", "variant", "codes", "code_dim", "latent_channels", "seed"),
    *("decoder", "update", "beta", "speed"),
    *("compression", "reconstruction_mse", "codebook_loss", "commitment_loss", "encoder_norm"),
    *("codes_used", "perplexity", "prior", "prior_nats_per_code", "kl_nats", "reconstruction_nats"),
    *("swapped_nats", "bits_per_dim", "bits_per_dim_elbo", "bits_per_dim_se", "converged"),
]
#: those that are empty for some runs
COUNTS = ("codes", "code_dim", "latent_channels", "codes_used")


def perplexity(use: np.ndarray) -> float:
    """Exponential of the entropy of the codes' frequencies.

    >>> perplexity(np.array([0.25, 0.25, 0.25, 0.25, 0.0]))
    4.0
    """
    use = use[use > 0] / use.sum()
    return round(float(np.exp(-(use * np.log(use)).sum())), 12)


def make(files: Files) -> pd.DataFrame:
    """One row a run with convolutional networks. What each number means: ``docs/vq.md``."""
    import pandas as pd  # here, because a figure takes perplexity alone

    rows = []
    for training_path, path in zip(files["training"], files["evaluation"], strict=True):
        settings = settings_of(result_file.read(path, only=()))
        if "convolutional" not in settings["network"]:
            continue
        training = result_file.read(training_path, only=CRITERIA)
        evaluation = result_file.read(path)
        rows.append(_row(settings, evaluation) | {"converged": converged(training)})
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COUNTS, "Int64"))


def _row(settings: RunSettings, evaluation: result_file.Stored) -> dict[str, object]:
    network = settings_of(evaluation)["network"]
    shape = ImageShape.of(network["shape"])
    to_bits = -1 / (shape.pixels * math.log(2))
    bound = evaluation["test/lk"]
    reconstruction = evaluation["test/reconstruction"]
    # an autoregressive decoder draws the pictures alone
    error = "test/mse" if "test/mse" in evaluation.arrays else "pictures/mse"
    row = {name: settings[name] for name in ("run", "dataset", "variant", "seed")} | {
        "decoder": network["decoder"],
        "reconstruction_mse": evaluation[error].mean(dtype=np.float64),
        "reconstruction_nats": reconstruction.mean(dtype=np.float64),
        "swapped_nats": (reconstruction - evaluation["test/swapped"]).mean(dtype=np.float64),
        "bits_per_dim": to_bits * bound.mean(),
        "bits_per_dim_elbo": to_bits * evaluation["test/elbo"].mean(),
        "bits_per_dim_se": -to_bits * lk_standard_error(evaluation.arrays),
    }
    if settings["axis"] != "codes":
        kl = evaluation["test/kl"].mean(dtype=np.float64)
        return row | {"latent_channels": network["latent_sizes"][0], "kl_nats": kl}
    codes = evaluation["test/codes"]
    use = np.bincount(codes.ravel(), minlength=network["codes"])
    positions = codes.shape[1]
    commitment = evaluation["test/commitment"].mean(dtype=np.float64)
    nats = -evaluation["test/prior"].mean(dtype=np.float64)
    return row | {
        "codes": network["codes"],
        "code_dim": network["vq"]["code_dim"],
        **{name: network["vq"][name] for name in ("update", "beta", "speed")},
        "compression": 8 * shape.pixels / (positions * math.log2(network["codes"])),
        # the two losses are the same number: they differ in what they teach
        "codebook_loss": commitment,
        "commitment_loss": commitment,
        "encoder_norm": math.sqrt(evaluation["test/encoder_square"].mean(dtype=np.float64)),
        "codes_used": int(np.count_nonzero(use)),
        "perplexity": perplexity(use),
        "prior": "learnt" if "prior" in evaluation.attributes["evaluation"] else "uniform",
        "prior_nats_per_code": nats / positions,
        "kl_nats": nats,
    }
