"""The claims of the ladder document (Sonderby et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rungs.claims.arrays import bound, image_mean
from rungs.claims.core import Claim, Need, Part, Sizes, Statement
from rungs.claims.resampling import Evaluations, Resampling, Statistic
from rungs.evaluation.definitions import ACTIVE_KL
from rungs.storage.result_file import Stored

#: the deep models; layers are counted from 1, and the claims are about those above the second
DEEP = Sizes("depth", (5,), least=3)
SECOND = Sizes("depth", (2,), exact=True)

SEED = "what another seed changes"


def new_less_old(of: Callable[[Stored, Resampling], np.ndarray]) -> Statistic:
    """Return the statistic that is ``of`` the run called ``new`` less that of the run called ``old``."""
    return lambda evaluations, resampling: (
        of(evaluations["new"], resampling) - of(evaluations["old"], resampling)
    )


#: L_k of ``new`` less that of ``old``, nats
gain = new_less_old(bound)


def higher_active(evaluation: Stored, resampling: Resampling) -> np.ndarray:
    """Return the number of units above the second layer whose mean KL exceeds 0.01 nats."""
    active = [
        np.count_nonzero(kl > ACTIVE_KL, axis=1)
        for kl in _higher(evaluation, "image_kl", resampling)
    ]
    return np.asarray(np.sum(active, axis=0))


def higher_accuracy(evaluation: Stored, resampling: Resampling) -> np.ndarray:
    """Return the nearest-neighbour accuracy, averaged over the layers above the second."""
    return np.asarray(np.mean(_higher(evaluation, "knn_correct", resampling), axis=0))


def tightness(evaluation: Stored, resampling: Resampling) -> np.ndarray:
    """Return L_1 - L_k, nats: how tight the ELBO is, as far as L_k shows it."""
    return image_mean(evaluation, "test/elbo", resampling) - bound(evaluation, resampling)


def _higher(evaluation: Stored, name: str, resampling: Resampling) -> list[np.ndarray]:
    """Return the means over images of an array of each layer above the second."""
    depth = max(3, len(evaluation.layers(name)))
    return [image_mean(evaluation, f"layers/{i}/{name}", resampling) for i in range(3, depth + 1)]


def _deep(new: str, old: str) -> dict[str, Need]:
    return {"new": Need(new, DEEP), "old": Need(old, DEEP)}


def one_unit(_: Evaluations) -> float:
    """Return the step of a number of units: one."""
    return 1.0


PUBLISHED_GAIN = Statement("L5000", lambda bounds: bounds["new"] - bounds["old"])

CLAIMS = [
    Claim(
        "ladder.1",
        "ladder",
        "The plain VAE gains nothing from layers beyond the second",
        (
            Part(
                "gain",
                "L_k of the deep VAE less L_k at depth 2",
                "nats",
                {"new": Need("vae", DEEP), "old": Need("vae", SECOND)},
                gain,
                "<",
                0.5,
                "twice what another seed changes",
                published=PUBLISHED_GAIN,
            ),
        ),
        ("ladder_loglik", "loglik"),
    ),
    Claim(
        "ladder.2",
        "ladder",
        "Batch norm improves the deep VAE",
        (
            Part(
                "gain",
                "L_k of VAE+BN less L_k of VAE",
                "nats",
                _deep("vae-bn", "vae"),
                gain,
                ">",
                0.2,
                SEED,
                published=PUBLISHED_GAIN,
            ),
        ),
        ("ladder_ablation", "ladder_loglik", "loglik"),
    ),
    Claim(
        "ladder.3",
        "ladder",
        "Warm-up improves the deep VAE with batch norm",
        (
            Part(
                "gain",
                "L_k of VAE+BN+WU less L_k of VAE+BN",
                "nats",
                _deep("vae-bn-wu", "vae-bn"),
                gain,
                ">",
                0.2,
                SEED,
                published=PUBLISHED_GAIN,
            ),
        ),
        ("ladder_ablation", "ladder_loglik", "loglik"),
    ),
    Claim(
        "ladder.4",
        "ladder",
        "The deep LVAE+BN+WU is at least as good as the deep VAE+BN+WU",
        (
            Part(
                "difference",
                "L_k of LVAE+BN+WU less L_k of VAE+BN+WU",
                "nats",
                _deep("lvae-bn-wu", "vae-bn-wu"),
                gain,
                ">",
                -0.2,
                SEED,
                published=PUBLISHED_GAIN,
            ),
        ),
        ("ladder_loglik", "ladder_depth", "loglik"),
    ),
    Claim(
        "ladder.5",
        "ladder",
        "In the deep plain VAE the layers above the second are inactive",
        (
            Part(
                "active units",
                "active units above the second layer",
                "units",
                {"vae": Need("vae", DEEP)},
                lambda evaluations, resampling: higher_active(evaluations["vae"], resampling),
                "<=",
                1,
                "a stray unit",
                step=one_unit,
            ),
        ),
        ("active_units_history", "ladder_kl_history", "active_units"),
    ),
    Claim(
        "ladder.6",
        "ladder",
        "Both LVAE+BN+WU and VAE+BN+WU make the layers above the second active",
        tuple(
            Part(
                label,
                f"active units above the second layer, {label} less VAE",
                "units",
                _deep(variant, "vae"),
                new_less_old(higher_active),
                ">",
                2,
                "more than stray units",
                step=one_unit,
            )
            for label, variant in (("LVAE+BN+WU", "lvae-bn-wu"), ("VAE+BN+WU", "vae-bn-wu"))
        ),
        ("active_units_history", "ladder_kl_history", "active_units"),
    ),
    Claim(
        "ladder.7",
        "ladder",
        "The higher layers of the LVAE separate the classes better than those of the plain VAE",
        (
            Part(
                "accuracy",
                "nearest-neighbour accuracy, mean over the layers above the second, LVAE+BN+WU less VAE",
                "accuracy",
                _deep("lvae-bn-wu", "vae"),
                new_less_old(higher_accuracy),
                ">",
                0.02,
                "20 of 1,000 images",
            ),
        ),
        ("ladder_pca",),
    ),
    Claim(
        "ladder.8",
        "ladder",
        "The bound of the LVAE is tighter",
        (
            Part(
                "tightness",
                "L_k - L_1 of VAE+BN+WU less that of LVAE+BN+WU",
                "nats",
                _deep("lvae-bn-wu", "vae-bn-wu"),
                new_less_old(tightness),
                ">",
                0.1,
                "half of what another seed changes",
            ),
            # the bound on a model that explains nothing, such as an untrained one, is tight
            Part(
                "fit",
                "L_k of LVAE+BN+WU less L_k of VAE+BN+WU",
                "nats",
                _deep("lvae-bn-wu", "vae-bn-wu"),
                gain,
                ">",
                -1,
                "models that fit alike",
                condition=True,
            ),
        ),
        ("ladder_loglik", "likelihood_calibration", "loglik"),
    ),
]
