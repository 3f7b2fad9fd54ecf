"""The claims of the ladder document (Sonderby et al. 2016)."""

from __future__ import annotations

import numpy as np

from rungs.claims.core import Claim, Evaluations, Need, Statement
from rungs.evaluation.definitions import ACTIVE_KL
from rungs.storage.result_file import Stored

DEPTH = 5
#: layers are counted from 1; "higher" ones lie above the second
HIGHER = range(3, DEPTH + 1)


def bound(evaluation: Stored, weights: np.ndarray) -> np.ndarray:
    """Mean L_k."""
    return weights @ evaluation["test/lk"]


def gain(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """L_k of the run called ``new`` less that of the run called ``old``."""
    return bound(evaluations["new"], weights) - bound(evaluations["old"], weights)


def higher_active(evaluation: Stored, weights: np.ndarray) -> np.ndarray:
    """Number of units above the second layer whose mean KL exceeds 0.01 nats."""
    return np.sum(
        [
            np.count_nonzero(weights @ evaluation[f"layers/{i}/image_kl"] > ACTIVE_KL, axis=1)
            for i in HIGHER
        ],
        axis=0,
    )


def higher_accuracy(evaluation: Stored, weights: np.ndarray) -> np.ndarray:
    """k-nearest-neighbour accuracy on the latents, averaged over the layers above the second."""
    return np.mean([weights @ evaluation[f"layers/{i}/knn_correct"] for i in HIGHER], axis=0)


def gap(evaluation: Stored, weights: np.ndarray) -> np.ndarray:
    """L_k - L_1: how loose the ELBO is, as far as L_k shows it."""
    return weights @ (evaluation["test/lk"] - evaluation["test/elbo"])


def _deep(**variants: str) -> dict[str, Need]:
    return {name: Need(variant, DEPTH) for name, variant in variants.items()}


PUBLISHED_GAIN = Statement("L5000", lambda bound: bound["new"] - bound["old"])

CLAIMS = [
    Claim(
        "ladder.1",
        "ladder",
        "The plain VAE gains nothing from layers beyond the second: L_k at depth 5 less L_k at depth 2",
        {"new": Need("vae", DEPTH), "old": Need("vae", 2)},
        gain,
        "<",
        0.5,
        evidence=("ladder_loglik", "loglik"),
        published=PUBLISHED_GAIN,
    ),
    Claim(
        "ladder.2",
        "ladder",
        "Batch norm improves the VAE at depth 5: L_k of VAE+BN less that of VAE",
        _deep(new="vae-bn", old="vae"),
        gain,
        ">",
        0.2,
        evidence=("ladder_ablation", "ladder_loglik", "loglik"),
        published=PUBLISHED_GAIN,
    ),
    Claim(
        "ladder.3",
        "ladder",
        "Warm-up improves VAE+BN at depth 5: L_k of VAE+BN+WU less that of VAE+BN",
        _deep(new="vae-bn-wu", old="vae-bn"),
        gain,
        ">",
        0.2,
        evidence=("ladder_ablation", "ladder_loglik", "loglik"),
        published=PUBLISHED_GAIN,
    ),
    Claim(
        "ladder.4",
        "ladder",
        "LVAE+BN+WU is at least as good as VAE+BN+WU at depth 5: difference in test L_k",
        _deep(new="lvae-bn-wu", old="vae-bn-wu"),
        gain,
        ">",
        -0.2,
        evidence=("ladder_loglik", "ladder_depth", "loglik"),
        published=PUBLISHED_GAIN,
    ),
    Claim(
        "ladder.5",
        "ladder",
        "In the plain VAE of depth 5 the layers above the second are inactive: active units in them",
        _deep(vae="vae"),
        lambda evaluations, weights: higher_active(evaluations["vae"], weights),
        "<=",
        1,
        evidence=("active_units_history", "ladder_kl_history", "active_units"),
    ),
    Claim(
        "ladder.6",
        "ladder",
        "LVAE+BN+WU and VAE+BN+WU have more active units above the second layer than the plain VAE: "
        "the smaller of their counts less the plain VAE's",
        _deep(lvae="lvae-bn-wu", tuned="vae-bn-wu", vae="vae"),
        lambda evaluations, weights: (
            np.minimum(
                higher_active(evaluations["lvae"], weights),
                higher_active(evaluations["tuned"], weights),
            )
            - higher_active(evaluations["vae"], weights)
        ),
        ">",
        0,
        evidence=("active_units_history", "ladder_kl_history", "active_units"),
    ),
    Claim(
        "ladder.7",
        "ladder",
        "The higher layers of the LVAE separate the classes better than the plain VAE's: difference in "
        "k-nearest-neighbour accuracy, averaged over the layers above the second",
        _deep(lvae="lvae-bn-wu", vae="vae"),
        lambda evaluations, weights: (
            higher_accuracy(evaluations["lvae"], weights)
            - higher_accuracy(evaluations["vae"], weights)
        ),
        ">",
        0,
        evidence=("ladder_pca",),
    ),
    Claim(
        "ladder.8",
        "ladder",
        "The LVAE's bound is tighter: its L_k - L_1 at depth 5 less that of VAE+BN+WU",
        _deep(lvae="lvae-bn-wu", vae="vae-bn-wu"),
        lambda evaluations, weights: (
            gap(evaluations["lvae"], weights) - gap(evaluations["vae"], weights)
        ),
        "<",
        0,
        evidence=("ladder_loglik", "likelihood_calibration", "loglik"),
    ),
]
