"""The claims of the VQ-VAE's document (van den Oord et al. 2017)."""

from __future__ import annotations

import math

import numpy as np

from rungs.claims.arrays import bound, dimensions, image_mean, needed
from rungs.claims.core import Claim, Need, Part, Sizes
from rungs.claims.resampling import Evaluations, Resampling

CODES = Sizes("codes")
#: channels of the latent grid of the continuous VAE
CHANNELS = Sizes("latent")
BITS_OF_A_BYTE = 8
TENTH = "a tenth"

_PAIR = {"vq": Need("vq", CODES), "vae": Need("conv-vae", CHANNELS)}


def dependence(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return how many percent of its nats ``-log p(x|z)`` grows with the codes of another image."""
    own, other = (
        image_mean(evaluations["vq"], f"test/{name}", resampling)
        for name in ("reconstruction", "swapped")
    )
    return 100 * (own - other) / np.abs(own)


def log_norm_growth(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return by how much the logarithm of the encoder's norm is larger in ``new`` than in ``old``."""
    new, old = (
        0.5 * np.log(image_mean(evaluations[name], "test/encoder_square", resampling))
        for name in ("new", "old")
    )
    return new - old


def independent_bound(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return the bound of the VQ-VAE with independent, uniform codes, nats."""
    evaluation = evaluations["vq"]
    places = needed(evaluation, "test/codes").shape[1]
    nats = places * math.log(len(needed(evaluation, "codebook")))
    return image_mean(evaluation, "test/reconstruction", resampling) - nats


def excess_independent(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return by how many percent the VQ-VAE needs more bits than the ELBO of the continuous VAE, both with
    independent priors."""
    continuous = image_mean(evaluations["vae"], "test/elbo", resampling)
    return 100 * (independent_bound(evaluations, resampling) / continuous - 1)


def excess_learnt(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return by how many percent the VQ-VAE with its learnt prior needs more bits than L_k of the
    continuous VAE."""
    needed(evaluations["vq"], "prior/objective")
    discrete, continuous = (bound(evaluations[name], resampling) for name in ("vq", "vae"))
    return 100 * (discrete / continuous - 1)


def compression(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return the bits of an image over the bits of its codes."""
    evaluation = evaluations["vq"]
    places = needed(evaluation, "test/codes").shape[1]
    bits = places * math.log2(len(needed(evaluation, "codebook")))
    return np.array([BITS_OF_A_BYTE * dimensions(evaluation) / bits])


def relative_error(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return the reconstruction error of the VQ-VAE over that of the continuous VAE."""
    discrete, continuous = (
        image_mean(evaluations[name], "test/mse", resampling) for name in ("vq", "vae")
    )
    return discrete / continuous


def _speed(name: str, new: str, old: str, words: str) -> Part:
    return Part(
        name,
        f"growth of the logarithm of the encoder's norm, {words}",
        "log",
        {"new": Need(new, CODES), "old": Need(old, CODES)},
        log_norm_growth,
        ">",
        0.05,
        "a twentieth",
        drift_counts=False,
    )


CLAIMS = [
    Claim(
        "vq.1",
        "vq",
        "No posterior collapse with a strong decoder",
        (
            Part(
                "VQ-VAE",
                "nats of the reconstruction that the VQ-VAE with a PixelCNN decoder, without revival of dead "
                "codes, loses with the codes of another image",
                "%",
                {"vq": Need("vq-pixel-plain", CODES)},
                dependence,
                ">",
                1,
                "more than noise",
            ),
            Part(
                "continuous VAE",
                "KL of the continuous VAE with the same decoder",
                "nats",
                {"vae": Need("conv-vae-pixel", CHANNELS)},
                lambda evaluations, resampling: image_mean(
                    evaluations["vae"], "test/kl", resampling
                ),
                "<",
                1,
                "less than a bit and a half",
            ),
        ),
        ("vq_codebook", "vq"),
    ),
    Claim(
        "vq.2",
        "vq",
        "Without the commitment loss the encoder's output grows, the more the slower the codebook learns",
        (
            _speed("full speed", "vq-nocommit", "vq", "without the commitment loss over with it"),
            _speed(
                "a tenth", "vq-nocommit-slow", "vq-nocommit", "codebook at a tenth of the speed"
            ),
            _speed(
                "a hundredth",
                "vq-nocommit-slower",
                "vq-nocommit-slow",
                "codebook at a hundredth over a tenth of the speed",
            ),
        ),
        ("vq_codebook", "vq"),
    ),
    Claim(
        "vq.3",
        "vq",
        "The bits a dimension of the VQ-VAE are close to those of the continuous VAE",
        (
            Part(
                "excess",
                "bits of the VQ-VAE over those of the continuous VAE, lower bounds with independent priors",
                "%",
                _PAIR,
                excess_independent,
                "within",
                10,
                TENTH,
            ),
        ),
        ("vq", "vq_reconstructions"),
    ),
    Claim(
        "vq.4",
        "vq",
        "Strong reduction of dimension at kept quality",
        (
            Part(
                "compression",
                "bits of the image over bits of the codes",
                "ratio",
                {"vq": Need("vq", CODES)},
                compression,
                ">",
                20,
                "half of the published",
                drift_counts=False,
            ),
            Part(
                "quality",
                "reconstruction error of the VQ-VAE over that of the continuous VAE",
                "ratio",
                _PAIR,
                relative_error,
                "<=",
                1.5,
                "hardly visible",
            ),
        ),
        ("vq", "vq_reconstructions"),
    ),
    Claim(
        "vq.5",
        "vq",
        "The bits a dimension are close with the prior that is learnt over the codes, too",
        (
            Part(
                "excess",
                "bits of the VQ-VAE with its learnt prior over L_k of the continuous VAE",
                "%",
                _PAIR,
                excess_learnt,
                "within",
                10,
                TENTH,
            ),
        ),
        ("vq",),
    ),
]
