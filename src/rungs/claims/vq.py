"""The claims of the VQ-VAE's document (van den Oord et al. 2017)."""

from __future__ import annotations

import numpy as np

from rungs.claims.core import Claim, Evaluations, Need, Statement
from rungs.storage.result_file import Stored

CODES = 64
#: channels of the continuous VAE's latent grid
LATENTS = 4
#: latents that carry less than so many nats an image are collapsed; a decoder that loses less
#: with another image's latents does not depend on them
NATS = 1.0
#: logarithm of the least growth that counts
GROWTH = 0.05


def share_used(evaluation: Stored, weights: np.ndarray) -> np.ndarray:
    """Share of the codes that some test image of positive weight has, ``[resamples]``."""
    codes = evaluation["test/codes"]
    count = len(evaluation["codebook"])
    present = np.zeros((len(codes), count), dtype=bool)
    present[np.arange(len(codes))[:, None], codes] = True
    return ((weights > 0).astype(float) @ present > 0).mean(1)


def dependence(evaluation: Stored, weights: np.ndarray) -> np.ndarray:
    """Nats an image that ``log p(x | z)`` loses with the latents of another image."""
    return weights @ (evaluation["test/reconstruction"] - evaluation["test/swapped"]).astype(float)


def uncollapsed(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """The least of three margins, all positive if the claim holds."""
    discrete, continuous = evaluations["vq"], evaluations["vae"]
    margins = (
        share_used(discrete, weights) - 0.5,
        dependence(discrete, weights) - NATS,
        NATS - weights @ continuous["test/kl"].astype(float),
    )
    return np.min(margins, axis=0)


def log_norm(evaluation: Stored, weights: np.ndarray) -> np.ndarray:
    """Logarithm of the root mean squared norm of the encoder's output."""
    return 0.5 * np.log(weights @ evaluation["test/encoder_square"].astype(float))


def growth(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """The least ratio (its logarithm) of the encoder's norm from each run to the next: with the
    commitment loss, without it, without it at a tenth of the codebook's speed, at a hundredth."""
    norms = [log_norm(evaluations[name], weights) for name in ("with", "fast", "slow", "slower")]
    return np.min(np.diff(norms, axis=0), axis=0)


def excess(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """The difference of the VQ-VAE's bits from the continuous VAE's, relative to these, without sign."""
    discrete = weights @ evaluations["vq"]["test/lk"]
    continuous = weights @ evaluations["vae"]["test/lk"]
    return np.abs(discrete / continuous - 1)


def _codes(variant: str) -> Need:
    return Need(variant, CODES, "codes")


def _latents(variant: str) -> Need:
    return Need(variant, LATENTS, "latent")


CLAIMS = [
    Claim(
        "vq.1",
        "vq",
        "No posterior collapse with a PixelCNN decoder: the least of the share of its codes that the "
        "VQ-VAE uses less 0.5; the nats an image that it loses with another image's codes less 1; 1 less "
        "the KL, in nats an image, of a continuous VAE with the same decoder",
        {"vq": _codes("vq-pixel"), "vae": _latents("conv-vae-pixel")},
        uncollapsed,
        ">",
        0,
        evidence=("vq_codebook", "vq"),
    ),
    Claim(
        "vq.2",
        "vq",
        "Without the commitment loss the encoder's output grows, the more the slower the codebook learns: "
        "the least growth (logarithm) of its norm from the VQ-VAE to that without commitment loss, and on "
        "to a codebook 10 and 100 times as slow",
        {
            "with": _codes("vq"),
            "fast": _codes("vq-nocommit"),
            "slow": _codes("vq-nocommit-slow"),
            "slower": _codes("vq-nocommit-slower"),
        },
        growth,
        ">",
        GROWTH,
        evidence=("vq_codebook", "vq"),
    ),
    Claim(
        "vq.3",
        "vq",
        "The VQ-VAE's bits a dimension are within 10 % of the continuous VAE's with the same networks and "
        "likelihood: their relative difference",
        {"vq": _codes("vq"), "vae": _latents("conv-vae")},
        excess,
        "<",
        0.1,
        evidence=("vq", "vq_reconstructions"),
        published=Statement("bits_per_dim", lambda bits: abs(bits["vq"] / bits["vae"] - 1)),
    ),
]
