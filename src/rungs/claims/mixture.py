"""The claims of the mixture document."""

from __future__ import annotations

import math

import numpy as np

from rungs.claims.core import Claim, Evaluations, Need
from rungs.evaluation.frechet import frechet_distance
from rungs.storage.result_file import Stored

LATENT = 10
#: latent units of the models of colour images
COLOUR_LATENT = 64
#: between these the samples of a model are to get worse
FEW, MANY = 10, 50
#: the heaviest components, among which every class is to appear
HEAVIEST = 50
#: fewer components that can be told apart are one
COMPONENTS_IN_USE = 1.1


def bound(evaluation: Stored, weights: np.ndarray) -> np.ndarray:
    """Mean L_k."""
    return weights @ evaluation["test/lk"]


def gain(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """L_k of the run called ``new`` less that of the run called ``old``."""
    return bound(evaluations["new"], weights) - bound(evaluations["old"], weights)


def characteristic(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """The excess of the classifier's confidence on the heaviest components' images over samples of the
    Gaussian-prior model; where classes have no such component, minus their number.

    The components are no sample; the interval is over the samples of the other model.
    """
    mixture, gaussian = evaluations["mixture"], evaluations["gaussian"]
    classes = len(np.unique(mixture["test/labels"]))
    missing = max(0, classes - len(np.unique(mixture["components/label"][:HEAVIEST])))
    if missing:
        return np.full(len(weights), -float(missing))
    sure = mixture["components/confidence"][:HEAVIEST].mean(dtype=np.float64)
    return np.asarray(sure - weights @ gaussian["samples/confidence"].astype(np.float64))


def off_average(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """Mean absolute difference of the model's one image from the average training image."""
    model = evaluations["model"]
    difference = np.abs(model["average/model"] - model["average/train"])
    return np.full(len(weights), difference.mean(dtype=np.float64))


def trained_mixture(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """The smaller of: the mixture posterior's L_k less the diagonal one's, plus 0.5; the components
    that can be told apart, averaged over images, less 1.1."""
    used = weights @ evaluations["new"]["posterior/components"].astype(np.float64)
    return np.minimum(gain(evaluations, weights) + 0.5, used - COMPONENTS_IN_USE)


def bits_gain(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """Bits per dimension that the run called ``new`` saves."""
    dimensions = len(evaluations["new"]["average/train"])
    return gain(evaluations, weights) / (dimensions * math.log(2))


def better_than_either(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """L_k of the run called ``both`` less that of the better of the other two."""
    alone = np.maximum(
        bound(evaluations["prior"], weights), bound(evaluations["weighted"], weights)
    )
    return bound(evaluations["both"], weights) - alone


def distance(evaluation: Stored, weights: np.ndarray) -> np.ndarray:
    """Frechet distance of samples to test images; there are as many of the one as of the other, so
    that the same weights resample both."""
    samples, test = evaluation["frechet/sample_features"], evaluation["frechet/test_features"]
    return frechet_distance(samples, test, weights, weights)


def worse_samples(evaluations: Evaluations, weights: np.ndarray) -> np.ndarray:
    """The smaller of: the growth of the Frechet distance with the latent dimension under the Gaussian
    prior; by how much it exceeds that under the mixture prior."""
    growth = {
        prior: distance(evaluations[f"{prior}_many"], weights)
        - distance(evaluations[f"{prior}_few"], weights)
        for prior in ("gauss", "mog")
    }
    return np.minimum(growth["gauss"], growth["gauss"] - growth["mog"])


def _at(size: int, **variants: str) -> dict[str, Need]:
    return {name: Need(variant, size, "latent") for name, variant in variants.items()}


CLAIMS = [
    Claim(
        "mixture.1",
        "mixture",
        "With z = 10 the mixture prior gives a better test L_k than the Gaussian prior: difference",
        _at(LATENT, new="mog", old="gauss"),
        gain,
        ">",
        0.2,
        evidence=("mixture_samples", "latent_dimension", "loglik", "perplexity"),
    ),
    Claim(
        "mixture.2",
        "mixture",
        "Component means are characteristic images: among the 50 heaviest every class appears, and a "
        "classifier is surer of their images than of samples of the Gaussian-prior model: difference in "
        "confidence, or minus the number of missing classes",
        _at(LATENT, mixture="mog", gaussian="gauss"),
        characteristic,
        ">",
        0,
        evidence=("mixture_components",),
    ),
    Claim(
        "mixture.3",
        "mixture",
        "With zero latents the model produces the training set's average image: mean absolute difference",
        _at(0, model="gauss"),
        off_average,
        "<",
        0.01,
        evidence=("latent_dimension",),
    ),
    Claim(
        "mixture.4",
        "mixture",
        "A mixture posterior can be trained with reparameterised samples: the smaller of its gain in L_k "
        "over the diagonal posterior plus 0.5 and the components in use less 1.1",
        _at(LATENT, new="gauss-mixq", old="gauss"),
        trained_mixture,
        ">",
        0,
        evidence=("perplexity", "loglik"),
    ),
    Claim(
        "mixture.5",
        "mixture",
        "The mixture prior also helps on CIFAR-10: bits per dimension that it saves",
        _at(COLOUR_LATENT, new="mog", old="gauss"),
        bits_gain,
        ">",
        0.01,
        data="cifar10",
        evidence=("perplexity",),
    ),
    Claim(
        "mixture.6",
        "mixture",
        "The importance weighted objective and the mixture prior together are better than either alone: "
        "gain in L_k over the better of the two",
        _at(LATENT, both="mog-iw10", prior="mog", weighted="gauss-iw10"),
        better_than_either,
        ">",
        0,
        evidence=("loglik", "perplexity"),
    ),
    Claim(
        "mixture.7",
        "mixture",
        "Under the Gaussian prior samples get worse from z = 10 to z = 50, and less so under the mixture "
        "prior: the smaller of the growth of the Frechet distance and its excess over the mixture's",
        {
            **_at(FEW, gauss_few="gauss", mog_few="mog"),
            **_at(MANY, gauss_many="gauss", mog_many="mog"),
        },
        worse_samples,
        ">",
        0,
        evidence=("latent_dimension", "perplexity"),
    ),
]
