"""The claims of the VAE tutorial."""

from __future__ import annotations

import numpy as np

from rungs.claims.core import Claim, Evaluations, Need
from rungs.evaluation.frechet import frechet_distance
from rungs.storage.result_file import Stored

LATENTS = (2, 10)
FEW = 10


def distance(evaluation: Stored, weights: np.ndarray, samples: str = "sample") -> np.ndarray:
    """Frechet distance of some samples to the test images, both resampled."""
    drawn, reference = (evaluation[f"frechet/{name}_features"] for name in (samples, "test"))
    return frechet_distance(drawn, reference, weights, weights)


def gain(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """L_k with ten latents less that with two."""
    return weights @ (evaluations["ten"]["test/lk"] - evaluations["two"]["test/lk"])


def excess(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """Frechet distance of the autoencoder's samples less that of the VAE's, the smaller of two sizes."""
    return np.min(
        [
            distance(evaluations[f"ae{n}"], weights) - distance(evaluations[f"vae{n}"], weights)
            for n in LATENTS
        ],
        axis=0,
    )


def usefulness(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """Two gains in accuracy with ten labels a class, the smaller: of the probe on the code over that
    on the pixels; of the network initialised with the encoder over the random one."""
    probe = {
        kind: evaluations["vae"][f"probe/{FEW}/{kind}"].astype(np.float64)
        for kind in ("encoder", "pixels", "finetuned", "random")
    }
    return np.minimum(
        weights @ (probe["encoder"] - probe["pixels"]),
        weights @ (probe["finetuned"] - probe["random"]),
    )


CLAIMS = [
    Claim(
        "vae.1",
        "vae",
        "Ten latents give a better test L_k than two: difference in nats",
        {"two": Need("gauss", 2, "latent"), "ten": Need("gauss", 10, "latent")},
        gain,
        ">",
        0,
        evidence=("vae_samples", "loglik"),
    ),
    Claim(
        "vae.2",
        "vae",
        "Samples of a plain autoencoder drawn from N(0, I) are worse than the VAE's: Frechet distance "
        "less the VAE's, the smaller difference of two and ten latents",
        {
            f"{name}{n}": Need(variant, n, "latent")
            for name, variant in (("ae", "ae"), ("vae", "gauss"))
            for n in LATENTS
        },
        excess,
        ">",
        0,
        evidence=("vae_samples", "autoencoder"),
    ),
    Claim(
        "vae.3",
        "vae",
        "The encoder is a useful feature map: with 10 labels a class, the smaller gain in accuracy of a "
        "probe on the code over one on the pixels, and of initialising a network with it over random",
        {"vae": Need("gauss", 10, "latent")},
        usefulness,
        ">",
        0,
        evidence=("linear_probe",),
    ),
]
