"""The claims of the moments document (Asperti 2019).

The variance law is a statement about the training images, which are its population, at a point where the
decoder is stationary in the scale of its latents. Ordinary training does not reach that point (see
``docs/moments.md``), so the law is decided on ``gauss-affine``, whose decoder learns the affine map of its
latents fast, and on ordinary training by a claim of its own.
"""

from __future__ import annotations

import numpy as np

from rungs.claims.arrays import BATCHES, KURTOSIS, frechet, inactive, needed
from rungs.claims.core import Claim, Need, Part, Sizes
from rungs.claims.ladder import one_unit
from rungs.claims.mixture import VISIBLE
from rungs.claims.resampling import Evaluations, Resampling, resamples_of
from rungs.evaluation.definitions import ACTIVE_KL, MOMENTS
from rungs.evaluation.moments import resampled_moments
from rungs.storage.result_file import Stored

Z = Sizes("latent", (10,))
#: between these the share of inactive latents is said to grow
GROWING = Sizes("latent", (10, 20, 50))
WIDE = Sizes("latent", (50,))
GAUSSIAN_KURTOSIS = 3.0
TENTH = "a tenth of the prior"
#: keeps quotients finite where a fit changes nothing
SMALLEST = 1e-9

_LAW = {"vae": Need("gauss-affine", Z)}
_ORDINARY = {"vae": Need("gauss", Z)}


def train_moment(evaluation: Stored, name: str) -> np.ndarray:
    """Return a moment of each latent over the training images, ``[units]``."""
    return needed(evaluation, "layers/1/train_moments")[:, MOMENTS.index(name)]


def variance_off(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return ``|S - 1|`` of each latent, ``[1, units]``."""
    return np.abs(train_moment(evaluations["vae"], "second_moment_sum") - 1)[None]


def active_variance_off(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return ``|S - 1|`` of each active latent, ``[1, units]``; of none it is NaN."""
    off = variance_off(evaluations, resampling)
    active = needed(evaluations["vae"], "layers/1/kl") > ACTIVE_KL
    return off[:, active] if active.any() else np.full((1, 1), np.nan)


def mean_off(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return the absolute mean of each latent, ``[1, units]``."""
    return np.abs(train_moment(evaluations["vae"], "mean"))[None]


def instationarity(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return R, averaged over the latents, ``[resamples]``, nats.

    The R of a single latent says little: it changes by 8 to 64 nats with the logarithm of the latent's
    scale, so that the last steps of any training leave it at some tenths (docs/moments.md).
    """
    r = needed(evaluations["vae"], "stationarity/r", BATCHES)
    return np.asarray(resampling("batches", len(r)) @ r.mean(1))


def kurtosis(evaluation: Stored, resampling: Resampling) -> np.ndarray:
    """Return the kurtosis of each latent over the test images, ``[resamples, units]``."""
    if KURTOSIS in evaluation.arrays:
        return resamples_of(evaluation.arrays[KURTOSIS], resampling)
    mean, variance = (
        needed(evaluation, f"layers/1/posterior_{name}") for name in ("mean", "variance")
    )
    return resampled_moments(mean, variance, resampling("images", len(mean))).kurtosis


def excess_kurtosis(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return ``|kurtosis - 3|`` of each active latent over the test images, ``[resamples, units]``."""
    evaluation = evaluations["vae"]
    active = needed(evaluation, "layers/1/kl") > ACTIVE_KL
    found = kurtosis(evaluation, resampling)
    if not active.any():
        return np.zeros((len(found), 1))
    return np.abs(found[:, active] - GAUSSIAN_KURTOSIS)


def returned(evaluations: Evaluations, resampling: Resampling, factor: float) -> np.ndarray:
    """Return the share of the latents' ``|S - 1|`` after rescaling by which training on lowers it.

    Averaged over the active latents; 1 if S comes back to 1, 0 if it stays, negative if it leaves.
    """
    evaluation = evaluations["vae"]
    row = np.abs(needed(evaluation, "rescaled/factors") - factor).argmin()
    active = needed(evaluation, "layers/1/kl") > ACTIVE_KL
    start, end = (
        np.abs(needed(evaluation, f"rescaled/{name}")[row] - 1)[active].sum()
        for name in ("start", "end")
    )
    return np.array([1 - end / max(start, SMALLEST)])


def inactive_share(evaluation: Stored, resampling: Resampling) -> np.ndarray:
    """Return the share of the latents whose mean KL is at most 0.01 nats."""
    return inactive(evaluation, resampling) / len(needed(evaluation, "layers/1/kl"))


def share_growth(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return the share of inactive latents with more latents less that with fewer."""
    many, fewer = (inactive_share(evaluations[name], resampling) for name in ("many", "few"))
    return many - fewer


def one_latent(evaluations: Evaluations) -> float:
    """Return the step of the smaller model's share: one of its latents."""
    return 1 / len(needed(evaluations["few"], "layers/1/kl"))


def removed(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return the share of the prior samples' excess of Frechet distance that the fitted mixture removes."""
    prior, fitted, least = (
        frechet(evaluations["vae"], resampling, samples)
        for samples in ("sample", "fitted", "reconstruction")
    )
    return (prior - fitted) / np.maximum(prior - least, SMALLEST)


def excess(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return by how many percent the Frechet distance of prior samples is above that of reconstructions."""
    prior, least = (
        frechet(evaluations["vae"], resampling, samples) for samples in ("sample", "reconstruction")
    )
    return 100 * (prior / np.maximum(least, SMALLEST) - 1)


def change_without_inactive(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return by how much leaving out the inactive latents lowers the Frechet distance, as a share of what
    the fitted mixture does."""
    prior, fitted, active = (
        frechet(evaluations["vae"], resampling, samples)
        for samples in ("sample", "fitted", "active")
    )
    return (prior - active) / np.maximum(prior - fitted, SMALLEST)


STATIONARITY = Part(
    "stationarity",
    "R, mean over latents: the change of the reconstruction with the logarithm of a latent's scale",
    "nats",
    _LAW,
    instationarity,
    "within",
    0.05,
    "half of what the law allows",
    condition=True,
)

CLAIMS = [
    Claim(
        "moments.1",
        "moments",
        "Variance law: Var(mu) + E[sigma^2] = 1 for every latent",
        (
            Part(
                "deviation",
                "the largest |S - 1| of any latent, S = Var(mu) + E[sigma^2] over the training images",
                "prior variances",
                _LAW,
                variance_off,
                "<",
                0.1,
                TENTH,
            ),
            STATIONARITY,
        ),
        ("overpruning", "moments"),
    ),
    Claim(
        "moments.2",
        "moments",
        "The mean of every latent of the aggregate posterior is 0",
        (
            Part(
                "mean",
                "the largest absolute mean of any latent over the training images",
                "prior standard deviations",
                _LAW,
                mean_off,
                "<",
                0.1,
                TENTH,
            ),
            STATIONARITY,
        ),
        ("aggregate_posterior", "moments"),
    ),
    Claim(
        "moments.3",
        "moments",
        "Higher moments need not agree with those of the prior",
        (
            Part(
                "kurtosis",
                "the largest |kurtosis - 3| of any active latent",
                "kurtosis",
                _ORDINARY,
                excess_kurtosis,
                ">",
                0.2,
                "beyond sampling noise",
            ),
        ),
        ("aggregate_posterior", "moments"),
    ),
    Claim(
        "moments.4",
        "moments",
        "The scale of a latent is held at the minimum of the KL",
        tuple(
            Part(
                f"scaled by {factor}",
                f"share by which training on lowers |S - 1| of latents scaled by {factor}, the scale undone "
                "in the next layer",
                "share",
                _LAW,
                lambda evaluations, resampling, factor=factor: returned(  # type: ignore[misc]
                    evaluations, resampling, factor
                ),
                ">",
                0.5,
                "more than half",
            )
            for factor in (0.8, 1.25)
        ),
        ("kl_fixed_ratio", "moments"),
    ),
    Claim(
        "moments.5",
        "moments",
        "Overpruning: the share of inactive latents grows with the dimension",
        tuple(
            Part(
                name,
                f"growth of the share of inactive latents, {name}",
                "share of latents",
                {"few": Need("gauss", GROWING, i), "many": Need("gauss", GROWING, i + 1)},
                share_growth,
                ">",
                0.05,
                "a latent of twenty",
                step=one_latent,
            )
            for i, name in enumerate(("first step", "second step"))
        ),
        ("overpruning", "active_units"),
    ),
    Claim(
        "moments.6",
        "moments",
        "Poor samples come from the mismatch of aggregate posterior and prior",
        (
            Part(
                "removed",
                "share of the prior samples' excess of Frechet distance over reconstructions that a mixture "
                "fitted to the codes removes",
                "share",
                _ORDINARY,
                removed,
                ">",
                0.5,
                "most of it",
            ),
            Part(
                "excess",
                "Frechet distance of prior samples above that of reconstructions",
                "%",
                _ORDINARY,
                excess,
                ">",
                10,
                VISIBLE,
                condition=True,
            ),
        ),
        ("vae_samples", "autoencoder"),
    ),
    Claim(
        "moments.7",
        "moments",
        "Poor samples do not come from overpruning",
        (
            Part(
                "change",
                "decrease of the Frechet distance without the inactive latents, relative to that by the "
                "fitted mixture",
                "share",
                {"vae": Need("gauss", WIDE)},
                change_without_inactive,
                "within",
                0.1,
                "a tenth of the effect",
            ),
            Part(
                "overpruning",
                "inactive latents",
                "latents",
                {"vae": Need("gauss", WIDE)},
                lambda evaluations, resampling: inactive(evaluations["vae"], resampling),
                ">",
                1,
                "more than a stray latent",
                step=one_unit,
                condition=True,
            ),
        ),
        ("vae_samples", "overpruning"),
    ),
    Claim(
        "moments.8",
        "moments",
        "The network finds the affine map of its latents easily: ordinary training ends with S = 1",
        (
            Part(
                "deviation",
                "the largest |S - 1| of any active latent after ordinary training, training images",
                "prior variances",
                _ORDINARY,
                active_variance_off,
                "<",
                0.1,
                TENTH,
            ),
        ),
        ("overpruning", "moments"),
    ),
]
