"""The claims of the mixture document."""

from __future__ import annotations

import math

import numpy as np

from rungs.claims.arrays import dimensions, frechet, image_mean, needed
from rungs.claims.core import Claim, Need, Part, Sizes
from rungs.claims.ladder import SEED, gain
from rungs.claims.resampling import Evaluations, Resampling
from rungs.storage.result_file import Stored

Z = Sizes("latent", (10,))
NO_LATENTS = Sizes("latent", (0,), least=0, exact=True)
#: between these the samples of a model are said to get worse
FEW_MANY = Sizes("latent", (10, 50))
#: channels of convolutional models
CHANNELS = Sizes("latent")

VISIBLE = "visible in samples"
#: nats by which log p(z) falls where a line leaves an island
DIP = 1.0


def class_difference(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return the total variation between the classes' shares of the components and of the images.

    A component has the class that the classifier gives its decoded mean, and its weight in the prior.
    """
    mixture = evaluations["mixture"]
    components = needed(mixture, "components/label").astype(int)
    labels = needed(mixture, "test/labels").astype(int)
    weights = needed(mixture, "components/weights")
    classes = 1 + max(labels.max(), components.max())
    shares = np.bincount(components, weights / weights.sum(), minlength=classes)
    data = resampling("images", len(labels)) @ np.eye(classes)[labels]
    return np.asarray(np.abs(data - shares).sum(1) / 2)


def surer(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return by how much the classifier is surer of decoded means than of samples of the same model."""
    mixture = evaluations["mixture"]
    weights, sure = (needed(mixture, f"components/{name}") for name in ("weights", "confidence"))
    samples = needed(mixture, "samples/confidence")
    means = weights @ sure / weights.sum()
    return np.asarray(means - resampling("samples", len(samples)) @ samples)


def off_average(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return the mean absolute difference of the model's one image from the average training image."""
    model, train = (needed(evaluations["model"], f"average/{name}") for name in ("model", "train"))
    return np.array([np.abs(model - train).mean()])


def bits_saved(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return the bits a dimension that the run called ``new`` saves over that called ``old``."""
    return gain(evaluations, resampling) / (dimensions(evaluations["new"]) * math.log(2))


def better_samples(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return by how many percent the Frechet distance of ``new`` is below that of ``old``."""
    new, old = (frechet(evaluations[name], resampling) for name in ("new", "old"))
    return 100 * (1 - new / old)


def growth(evaluations: Evaluations, resampling: Resampling, prior: str) -> np.ndarray:
    """Return the growth of the Frechet distance with the latent dimension, percent."""
    few, many = (frechet(evaluations[f"{prior}_{size}"], resampling) for size in ("few", "many"))
    return 100 * (many / few - 1)


def components_in_use(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return exp I(c; z) of the mixture posterior, averaged over images."""
    return image_mean(evaluations["model"], "posterior/components", resampling)


def dips(evaluation: Stored) -> np.ndarray:
    """Return by how much log p(z) falls below the lower end on each line, nats, 0 if it does not."""
    density = needed(evaluation, "lines/log_density")
    lower_end = np.minimum(density[:, 0], density[:, -1])
    return np.asarray(lower_end - density.min(axis=1))


def lines_with_dip(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return the share of lines on which log p(z) falls by more than a nat."""
    found = dips(evaluations["model"])
    return np.asarray(resampling("lines", len(found)) @ (found > DIP).astype(np.float64))


def deepest_dip(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """Return the largest fall of log p(z) on any line, nats."""
    return np.array([dips(evaluations["model"]).max()])


def _at(sizes: Sizes, **variants: str) -> dict[str, Need]:
    return {name: Need(variant, sizes) for name, variant in variants.items()}


def _over(name: str, variant: str) -> Part:
    return Part(
        f"over {name} alone",
        f"L_k of both less L_k of {name} alone",
        "nats",
        _at(Z, new="mog-iw10", old=variant),
        gain,
        ">",
        0.2,
        SEED,
    )


_GAUSS_GROWTH = {
    f"gauss_{name}": Need("gauss", FEW_MANY, i) for i, name in enumerate(("few", "many"))
}
_MOG_GROWTH = {f"mog_{name}": Need("mog", FEW_MANY, i) for i, name in enumerate(("few", "many"))}
_IN_USE = (
    "components in use",
    "exp of the information between component and latent, mean over images",
    "components",
)

CLAIMS = [
    Claim(
        "mixture.1",
        "mixture",
        "With ten latents a mixture prior gives a better likelihood",
        (
            Part(
                "gain",
                "L_k under the mixture prior less L_k under the Gaussian prior",
                "nats",
                _at(Z, new="mog", old="gauss"),
                gain,
                ">",
                0.2,
                SEED,
            ),
        ),
        ("mixture_samples", "latent_dimension", "loglik", "perplexity"),
    ),
    Claim(
        "mixture.2",
        "mixture",
        "Component means are characteristic images",
        (
            Part(
                "classes",
                "total variation between the classes' shares of the components, by weight, and of the images",
                "share",
                _at(Z, mixture="mog"),
                class_difference,
                "<",
                0.2,
                "two classes of ten",
            ),
            Part(
                "confidence",
                "classifier's confidence on decoded means, by weight, less that on samples of the same model",
                "probability",
                _at(Z, mixture="mog"),
                surer,
                ">",
                0.02,
                "20 of 1,000 samples",
            ),
        ),
        ("mixture_components",),
    ),
    Claim(
        "mixture.3",
        "mixture",
        "With zero latents the model produces the average image",
        (
            Part(
                "difference",
                "mean absolute difference from the average training image",
                "intensity",
                _at(NO_LATENTS, model="gauss"),
                off_average,
                "<",
                0.01,
                "invisible",
            ),
        ),
        ("latent_dimension",),
    ),
    Claim(
        "mixture.4",
        "mixture",
        "A mixture posterior can be trained with reparameterised samples",
        (
            Part(
                "difference",
                "L_k with the mixture posterior less L_k with the diagonal one",
                "nats",
                _at(Z, new="gauss-mixq", old="gauss"),
                gain,
                ">",
                -0.5,
                "twice what another seed changes",
            ),
        ),
        ("perplexity", "loglik"),
    ),
    Claim(
        "mixture.5",
        "mixture",
        "The mixture prior also helps on CIFAR-10",
        (
            Part(
                "bits saved",
                "bits a dimension under the Gaussian prior less those under the mixture prior, "
                "convolutional networks",
                "bits a dimension",
                _at(CHANNELS, new="conv-vae-mog", old="conv-vae"),
                bits_saved,
                ">",
                0.01,
                "the last digit that papers print",
            ),
        ),
        ("perplexity",),
        data="cifar10",
    ),
    Claim(
        "mixture.6",
        "mixture",
        "Importance weighting and mixture prior together are better than either",
        (
            _over("the mixture prior", "mog"),
            _over("importance weighting", "gauss-iw10"),
        ),
        ("loglik", "perplexity"),
    ),
    Claim(
        "mixture.7",
        "mixture",
        "With ten latents the samples under the two priors differ noticeably",
        (
            Part(
                "samples",
                "Frechet distance under the mixture prior below that under the Gaussian prior",
                "%",
                _at(Z, new="mog", old="gauss"),
                better_samples,
                ">",
                10,
                VISIBLE,
            ),
        ),
        ("mixture_samples", "latent_dimension", "perplexity"),
    ),
    Claim(
        "mixture.8",
        "mixture",
        "Under the Gaussian prior samples get worse as the latent dimension grows, less so under the mixture",
        (
            Part(
                "growth",
                "growth of the Frechet distance from few to many latents, Gaussian prior",
                "%",
                _GAUSS_GROWTH,
                lambda evaluations, resampling: growth(evaluations, resampling, "gauss"),
                ">",
                10,
                VISIBLE,
            ),
            Part(
                "smaller growth",
                "growth under the Gaussian prior less growth under the mixture prior",
                "% points",
                _GAUSS_GROWTH | _MOG_GROWTH,
                lambda evaluations, resampling: (
                    growth(evaluations, resampling, "gauss")
                    - growth(evaluations, resampling, "mog")
                ),
                ">",
                10,
                VISIBLE,
            ),
        ),
        ("latent_dimension", "perplexity"),
    ),
    Claim(
        "mixture.9",
        "mixture",
        "The components of a mixture posterior survive training with the ELBO",
        (
            Part(
                *_IN_USE,
                _at(Z, model="gauss-mixq"),
                components_in_use,
                ">",
                1.1,
                "more than one",
            ),
        ),
        ("perplexity",),
    ),
    Claim(
        "mixture.10",
        "mixture",
        "A mixture prior makes islands",
        (
            Part(
                "under the mixture",
                "share of lines between posterior means of two classes on which log p(z) falls by more than "
                "a nat below the lower end",
                "share",
                _at(Z, model="mog"),
                lines_with_dip,
                ">",
                0.5,
                "most lines",
            ),
            Part(
                "under the Gaussian",
                "the largest fall of log p(z) below the lower end on any such line",
                "nats",
                _at(Z, model="gauss"),
                deepest_dip,
                "<",
                DIP,
                "no line",
            ),
        ),
        ("mixture_samples",),
    ),
    Claim(
        "mixture.11",
        "mixture",
        "A mixture prior also helps the VAE/GAN",
        (
            Part(
                "samples",
                "Frechet distance under the mixture prior below that under the Gaussian prior",
                "%",
                _at(Z, new="vaegan-mog", old="vaegan"),
                better_samples,
                ">",
                10,
                VISIBLE,
            ),
        ),
        ("mixture_samples", "perplexity"),
    ),
    Claim(
        "mixture.12",
        "mixture",
        "The components of a mixture posterior survive under the importance weighted objective",
        (
            Part(
                *_IN_USE,
                _at(Z, model="gauss-mixq-iw10"),
                components_in_use,
                ">",
                1.1,
                "more than one",
            ),
        ),
        ("perplexity",),
    ),
]
