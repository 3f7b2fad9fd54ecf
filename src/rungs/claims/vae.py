"""The claims of the VAE tutorial."""

from __future__ import annotations

import numpy as np

from rungs.claims.arrays import LABEL_DRAWS, frechet, needed
from rungs.claims.core import Claim, Need, Part, Sizes
from rungs.claims.ladder import gain
from rungs.claims.mixture import VISIBLE, better_samples
from rungs.claims.resampling import Evaluations, Resampling

Z = Sizes("latent", (10,))
FEW_MANY = Sizes("latent", (2, 10))
#: labels a class
FEW_LABELS = 10

_TEN_OVER_TWO = {"old": Need("gauss", FEW_MANY, 0), "new": Need("gauss", FEW_MANY, 1)}


def worse_samples(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return by how many percent the Frechet distance of the autoencoder is above that of the VAE."""
    plain, vae = (frechet(evaluations[name], resampling) for name in ("plain", "vae"))
    return 100 * (plain / vae - 1)


def probe_gain(evaluations: Evaluations, resampling: Resampling, new: str, old: str) -> np.ndarray:
    """Return the accuracy of one way of classifying less that of another, over draws of the labels."""
    found = [
        needed(evaluations["vae"], f"probe/{FEW_LABELS}/correct/{kind}", LABEL_DRAWS)
        for kind in (new, old)
    ]
    difference = found[0] - found[1]
    draws, images = difference.shape
    by_draw = resampling("label draws", draws)
    return np.asarray(((by_draw @ difference) * resampling("images", images)).sum(1))


CLAIMS = [
    Claim(
        "vae.1",
        "vae",
        "Ten latents give better samples than two",
        (
            Part(
                "likelihood",
                "L_k with many latents less L_k with few",
                "nats",
                _TEN_OVER_TWO,
                gain,
                ">",
                1,
                "visible in reconstructions",
            ),
            Part(
                "samples",
                "Frechet distance with many latents below that with few",
                "%",
                _TEN_OVER_TWO,
                better_samples,
                ">",
                10,
                VISIBLE,
            ),
        ),
        ("vae_samples", "loglik", "perplexity"),
    ),
    Claim(
        "vae.2",
        "vae",
        "Samples of a plain autoencoder drawn from N(0, I) are worse than those of the VAE",
        tuple(
            Part(
                f"{name} latents",
                f"Frechet distance of the autoencoder above that of the VAE, {name} latents",
                "%",
                {"plain": Need("ae", FEW_MANY, i), "vae": Need("gauss", FEW_MANY, i)},
                worse_samples,
                ">",
                10,
                VISIBLE,
            )
            for i, name in enumerate(("few", "many"))
        ),
        ("vae_samples", "autoencoder"),
    ),
    Claim(
        "vae.3",
        "vae",
        "The encoder is a useful feature map",
        (
            Part(
                "frozen",
                f"accuracy of a probe on the code less that on grey pixels, {FEW_LABELS} labels a class",
                "accuracy",
                {"vae": Need("gauss", Z)},
                lambda evaluations, resampling: probe_gain(
                    evaluations, resampling, "encoder", "grey"
                ),
                ">",
                0.01,
                "10 of 1,000 images",
            ),
            Part(
                "fine-tuned",
                f"accuracy of a network that starts from the encoder less a random start, {FEW_LABELS} "
                "labels a class",
                "accuracy",
                {"vae": Need("gauss", Z)},
                lambda evaluations, resampling: probe_gain(
                    evaluations, resampling, "finetuned", "random"
                ),
                ">",
                0.01,
                "10 of 1,000 images",
            ),
        ),
        ("linear_probe",),
    ),
]
