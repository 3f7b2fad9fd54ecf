"""The claims of the moments document (Asperti 2019)."""

from __future__ import annotations

import numpy as np

from rungs.claims.core import Claim, Evaluations, Need
from rungs.claims.vae import distance
from rungs.evaluation.definitions import ACTIVE_KL
from rungs.evaluation.moments import Moments, resampled_moments
from rungs.storage.result_file import Stored

#: the VAEs whose latents, all of them, the variance law is about: the widest has inactive ones
LAW = {f"z{n}": Need("gauss", n, "latent") for n in (2, 10, 50)}
#: latent sizes of the overpruning claim
GROWING = (10, 20, 50)
#: factors by which a trained latent is rescaled; half and twice would be won by any parabola
FACTORS = (0.8, 1.25)
GAUSSIAN_KURTOSIS = 3.0


def aggregate(evaluation: Stored, weights: np.ndarray) -> Moments:
    """Moments of the aggregate posterior over resampled test images, ``[resamples, latents]``."""
    mean, variance = (evaluation[f"layers/1/posterior_{name}"] for name in ("mean", "variance"))
    return resampled_moments(mean, variance, weights)


def variance_off(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """``|Var(mu) + E[sigma^2] - 1|`` of each latent of each model, ``[resamples, latents]``."""
    found = [np.abs(aggregate(e, weights).variance - 1) for e in evaluations.values()]
    return np.concatenate(found, axis=1)


def mean_off(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """Absolute mean of each latent of each model, ``[resamples, latents]``."""
    found = [np.abs(aggregate(e, weights).mean) for e in evaluations.values()]
    return np.concatenate(found, axis=1)


def excess_kurtosis(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """``|kurtosis - 3|`` of each active latent, ``[resamples, latents]``."""
    evaluation = evaluations["vae"]
    active = evaluation["layers/1/kl"] > ACTIVE_KL
    if not active.any():
        return np.zeros((len(weights), 1))
    return np.abs(aggregate(evaluation, weights).kurtosis[:, active] - GAUSSIAN_KURTOSIS)


def least_rise(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """The smallest rise of any latent's mean KL when it is rescaled."""
    evaluation = evaluations["vae"]
    factors = evaluation["rescale/factors"].tolist()
    kl = evaluation["rescale/image_kl"]
    trained = kl[factors.index(1.0)]
    rises = [weights @ (kl[factors.index(f)] - trained).astype(np.float64) for f in FACTORS]
    return np.min(rises, axis=(0, 2))


def inactive_share(evaluation: Stored, weights: np.ndarray) -> np.ndarray:
    """Share of the latents whose mean KL is at most 0.01 nats."""
    return np.mean(weights @ evaluation["layers/1/image_kl"] <= ACTIVE_KL, axis=1)


def least_growth(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """The smaller of the two steps of the share of inactive latents from size to size."""
    shares = [inactive_share(evaluations[f"z{n}"], weights) for n in GROWING]
    return np.min(np.diff(shares, axis=0), axis=0)


def improvement(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """Frechet distance of samples from the prior less that of samples from the fitted mixture."""
    evaluation = evaluations["vae"]
    return distance(evaluation, weights) - distance(evaluation, weights, "fitted")


CLAIMS = [
    Claim(
        "moments.1",
        "moments",
        "Variance law: Var(mu) + E[sigma^2] = 1 for every latent, active or not: the largest deviation "
        "among VAEs with 2, 10 and 50 latents (interval corrected for their number)",
        LAW,
        variance_off,
        "<",
        0.1,
        evidence=("overpruning", "moments"),
    ),
    Claim(
        "moments.2",
        "moments",
        "The mean of every latent of the aggregate posterior is 0: the largest absolute mean among VAEs "
        "with 2, 10 and 50 latents (interval corrected for their number)",
        LAW,
        mean_off,
        "<",
        0.1,
        evidence=("aggregate_posterior", "moments"),
    ),
    Claim(
        "moments.3",
        "moments",
        "Higher moments need not agree: the largest |kurtosis - 3| of an active latent of ten (interval "
        "corrected for their number)",
        {"vae": Need("gauss", 10, "latent")},
        excess_kurtosis,
        ">",
        0.2,
        evidence=("aggregate_posterior", "moments"),
    ),
    Claim(
        "moments.4",
        "moments",
        "The KL is least at the trained scale: the smallest rise of the mean KL of any of ten latents when "
        "it is scaled by 0.8 or 1.25, nats",
        {"vae": Need("gauss", 10, "latent")},
        least_rise,
        ">",
        0,
        evidence=("kl_fixed_ratio",),
    ),
    Claim(
        "moments.5",
        "moments",
        "Overpruning: the share of inactive latents grows with the latent dimension: the smaller growth "
        "from 10 to 20 and from 20 to 50",
        {f"z{n}": Need("gauss", n, "latent") for n in GROWING},
        least_growth,
        ">",
        0,
        evidence=("overpruning", "active_units"),
    ),
    Claim(
        "moments.6",
        "moments",
        "Poor samples come from the mismatch of aggregate posterior and prior: Frechet distance of samples "
        "from the prior less that from a mixture of ten Gaussians fitted to the codes, ten latents",
        {"vae": Need("gauss", 10, "latent")},
        improvement,
        ">",
        0,
        evidence=("vae_samples", "autoencoder"),
    ),
]
