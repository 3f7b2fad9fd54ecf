"""How often the package's intervals hold the truth, by simulation where the truth is known.

``python tests/claims/test_intervals.py`` prints the table of docs/trust.md (minutes of one core). The tests
do less of the same, with fixed seeds, and hold it against what the page states.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rungs.claims import core
from rungs.claims.core import bootstrap, measure, t_interval
from rungs.claims.moments import excess_kurtosis, least_rise, mean_off, variance_off
from rungs.claims.vae import distance
from rungs.evaluation.likelihood import standard_error
from rungs.storage.result_file import Stored

Random = np.random.Generator
#: whether each of so many simulated intervals holds the truth
Simulation = Callable[[Random, int], np.ndarray]


@dataclass(frozen=True)
class Case:
    """An interval, what it is used for, and what it is simulated on."""

    interval: str
    used_for: str
    data: str
    nominal: float
    simulate: Simulation
    #: simulations for the page, and in the tests
    simulations: int = 4000
    tested: int = 1000
    #: what the page states
    stated: float = 0.95


# --- populations --------------------------------------------------------------------------------


def bounds(random: Random, *shape: int) -> np.ndarray:
    """L_k of images: skewed to the left, mean -105, standard deviation 30, as trained models have it."""
    return -40 - random.gamma(4.7, 65 / 4.7, shape)


BOUND = -105.0


def differences(random: Random, *shape: int) -> np.ndarray:
    """L_k of one model less another's: mean 0.5, heavy tails (Student's t, 5 degrees)."""
    return 0.5 + 2.0 * random.standard_t(5, shape)


# --- one value an image, many data sets at once -------------------------------------------------


def bootstrapped(statistic: Callable[[np.ndarray], np.ndarray], images: int) -> np.ndarray:
    """The ends ``[2, data sets]`` of the claims' intervals, for a statistic that maps weights
    ``[resamples, images]`` to ``[resamples, data sets]``.

    The package draws the same images for every data set; so does this.
    """
    samples = bootstrap(lambda _, weights: statistic(weights), {}, images)
    tails = [(1 - core.CONFIDENCE) / 2, (1 + core.CONFIDENCE) / 2]
    return np.asarray(np.quantile(samples, tails, axis=0))


def holds(ends: np.ndarray, truth: float) -> np.ndarray:
    return (ends[0] <= truth) & (truth <= ends[1])


def mean_of(
    draw: Callable[[Random, int, int], np.ndarray], truth: float, images: int
) -> Simulation:
    """The paired bootstrap of a mean over images."""

    def simulate(random: Random, count: int) -> np.ndarray:
        values = draw(random, images, count)
        return holds(bootstrapped(lambda weights: weights @ values, images), truth)

    return simulate


def least_of(truths: list[float], images: int) -> Simulation:
    """The smallest of several means, each of values with standard deviation 1, as some claims are."""

    def simulate(random: Random, count: int) -> np.ndarray:
        values = [truth + random.normal(size=(images, count)) for truth in truths]
        ends = bootstrapped(lambda w: np.min([w @ v for v in values], axis=0), images)
        return holds(ends, min(truths))

    return simulate


def errors(
    draw: Callable[[Random, int], np.ndarray], truth: float, images: int, factor: float
) -> Simulation:
    """Mean plus or minus ``factor`` standard errors."""

    def simulate(random: Random, count: int) -> np.ndarray:
        held = []
        for _ in range(count):
            values = torch.from_numpy(draw(random, images))
            half = factor * standard_error(values)
            held.append(abs(float(values.mean()) - truth) <= half)
        return np.array(held)

    return simulate


def seeds(draw: Callable[[Random, int], np.ndarray], truth: float, count: int) -> Simulation:
    """Student's t over seeds."""

    def simulate(random: Random, simulations: int) -> np.ndarray:
        ends = np.array([t_interval(draw(random, count)) for _ in range(simulations)])
        return holds(ends.T, truth)

    return simulate


def of_new_images(random: Random, simulations: int) -> np.ndarray:
    """Three seeds (deviation 0.3) measured on the same images, whose own error is 0.2."""
    images = 0.2 * random.normal(size=simulations)
    ends = [t_interval(0.3 * random.normal(size=3) + shared) for shared in images]
    return holds(np.array(ends).T, 0.0)


# --- claims over several values -----------------------------------------------------------------


def evaluation(**arrays: np.ndarray) -> Stored:
    renamed = {name.replace("__", "/"): array for name, array in arrays.items()}
    return Stored(Path("simulated"), renamed, {})


def posteriors(random: Random, images: int, deviation: np.ndarray, shift: np.ndarray) -> Stored:
    """Posteriors whose means have these deviations and means, a latent each, and variance 0.1."""
    mean = shift + deviation * random.normal(size=(images, len(deviation)))
    return evaluation(
        test__lk=np.zeros(images),
        layers__1__posterior_mean=mean,
        layers__1__posterior_variance=np.full(mean.shape, 0.1),
        layers__1__kl=np.ones(len(deviation)),
    )


def of_claim(
    statistic: Any, make: Callable[[Random], dict[str, Stored]], truth: float
) -> Simulation:
    """The claims' own measure of a statistic."""

    def simulate(random: Random, count: int) -> np.ndarray:
        ends = [measure(statistic, [make(random)])[1] for _ in range(count)]
        return holds(np.array(ends).T, truth)

    return simulate


LATENTS, IMAGES = 62, 1000
LAWFUL, SHIFTED = np.full(LATENTS, math.sqrt(0.9)), np.zeros(LATENTS)
WIDE, FAR = LAWFUL.copy(), SHIFTED.copy()
WIDE[0], FAR[0] = math.sqrt(1.3), 0.3
#: a truth of 0 would be on the edge of what an absolute value can be, which no interval holds
NARROW, NEAR = np.full(LATENTS, math.sqrt(0.85)), np.full(LATENTS, 0.05)


def latents(deviation: np.ndarray, shift: np.ndarray) -> Callable[[Random], dict[str, Stored]]:
    return lambda random: {"vae": posteriors(random, IMAGES, deviation, shift)}


def bimodal(random: Random) -> dict[str, Stored]:
    """Ten latents of kurtosis 3, but one, whose posterior means are two clusters."""
    found = posteriors(random, IMAGES, np.full(10, math.sqrt(0.9)), np.zeros(10))
    sign = np.where(random.random(IMAGES) < 0.5, -1.0, 1.0)
    found.arrays["layers/1/posterior_mean"][:, 0] = 0.8 * sign + 0.5 * random.normal(size=IMAGES)
    return {"vae": found}


def flat(random: Random) -> dict[str, Stored]:
    """Ten latents whose posterior means are uniform, of variance 0.9: excess kurtosis -1.2 * 0.9^2."""
    found = posteriors(random, IMAGES, np.full(10, 1.0), np.zeros(10))
    edge = math.sqrt(3 * 0.9)
    found.arrays["layers/1/posterior_mean"][:] = random.uniform(-edge, edge, (IMAGES, 10))
    return {"vae": found}


#: of 0.8 s + e, e of variance 0.25 + 0.1: (0.8^4 + 6 0.8^2 0.35 + 3 0.35^2)/(0.8^2 + 0.35)^2
BIMODAL = abs((0.8**4 + 6 * 0.64 * 0.35 + 3 * 0.35**2) / (0.64 + 0.35) ** 2 - 3)


def rises(random: Random) -> dict[str, Stored]:
    """KL of ten latents when rescaled: one rises by 0.01 nats, the others by 0.1 and more."""
    factors = np.array([0.8, 1.0, 1.25])
    mean = 0.1 + 0.02 * np.arange(10)
    mean[3] = 0.01
    kl = np.zeros((3, IMAGES, 10))
    kl[0] = mean + 0.1 * random.normal(size=(IMAGES, 10))
    kl[2] = mean + 0.1 + 0.1 * random.normal(size=(IMAGES, 10))
    arrays = {"rescale__factors": factors, "rescale__image_kl": kl, "test__lk": np.zeros(IMAGES)}
    return {"vae": evaluation(**arrays)}


FEATURES = 32


def farther(evaluations: Any, weights: np.ndarray) -> np.ndarray:
    """As claims compare samples: one Frechet distance less another's, from the same test images."""
    return distance(evaluations["vae"], weights, "far") - distance(evaluations["vae"], weights)


def features(random: Random) -> dict[str, Stored]:
    """Test images N(0, I), samples N(0.2, I) and N(0.5, I) in 32 features."""
    drawn = random.normal(size=(3, IMAGES, FEATURES))
    return {
        "vae": evaluation(
            test__lk=np.zeros(IMAGES),
            frechet__test_features=drawn[0],
            frechet__sample_features=0.2 + drawn[1],
            frechet__far_features=0.5 + drawn[2],
        )
    }


def correct(random: Random, *shape: int) -> np.ndarray:
    """Whether a classifier is right, with probability 0.95."""
    return (random.random(shape) < 0.95).astype(float)


def kl_draws(random: Random, *shape: int) -> np.ndarray:
    """``log q - log p`` at draws: 3 nats and a skewed rest of mean 5."""
    return 3 + random.gamma(5, 1.0, shape)


def accuracies(random: Random, *shape: int) -> np.ndarray:
    """Right where the other is wrong 6 % of the time, the other way round 4 %."""
    uniform = random.random(shape)
    return (uniform < 0.06).astype(float) - (uniform > 0.96)


def units(random: Random, count: int) -> np.ndarray:
    """The count of active units: four of eight, the nearest to the threshold 0.004 nats away."""
    kl = np.array([0.5, 0.1, 0.02, 0.014, 0.006, 0.002, 0.0, 0.0])
    values = kl[:, None, None] + 0.03 * random.normal(size=(len(kl), IMAGES, count))
    ends = bootstrapped(lambda w: np.sum([w @ v > 0.01 for v in values], axis=0), IMAGES)
    return holds(ends, 4)


def pairs(draw: Callable[..., np.ndarray], truth: float, images: int) -> Simulation:
    """Two seeds: the bootstrap of the mean of their statistics, on the same images."""

    def simulate(random: Random, count: int) -> np.ndarray:
        values = (draw(random, images, count) + draw(random, images, count)) / 2
        return holds(bootstrapped(lambda weights: weights @ values, images), truth)

    return simulate


SE, T, PB = "mean, standard error", "Student's t over seeds", "paired bootstrap"
CORRECTED = "paired bootstrap, corrected"
CASES = {
    "lk-two": Case(
        f"{SE} x 1.96", "test_lk, bits_per_dim", "1,000 images, skewed", 0.95,
        errors(bounds, BOUND, 1000, 1.96),
    ),
    "lk-two-small": Case(
        f"{SE} x 1.96", "test_lk", "100 images, skewed", 0.95, errors(bounds, BOUND, 100, 1.96),
    ),
    "lk-one": Case(
        f"{SE} x 1", "error bars of ladder_loglik, ladder_depth", "1,000 images, skewed", 0.683,
        errors(bounds, BOUND, 1000, 1.0), stated=0.683,
    ),
    "kl": Case(
        f"{SE} x 2", "bands of mixture_kl, bars of likelihood_calibration", "5,000 draws, skewed",
        0.954, errors(kl_draws, 8.0, 5000, 2.0), stated=0.954,
    ),
    "accuracy": Case(
        f"{SE} x 1.96", "accuracy_se of linear_probe", "1,000 images, 95 % right", 0.95,
        errors(correct, 0.95, 1000, 1.96), stated=0.945,
    ),
    "seeds": Case(
        T, "claims, 3 seeds", "Gaussian", 0.95, seeds(lambda r, n: r.normal(size=n), 0.0, 3),
    ),
    "seeds-skewed": Case(
        T, "claims, 3 seeds", "exponential", 0.95,
        seeds(lambda r, n: r.exponential(size=n), 1.0, 3), stated=0.887,
    ),
    "seeds-images": Case(
        T, "claims, 3 seeds, if read as of new test images", "seeds 0.3, images 0.2 nats", 0.95,
        of_new_images, stated=0.883,
    ),
    "gain": Case(
        PB, "claims on differences of L_k", "1,000 images, heavy tails", 0.95,
        mean_of(differences, 0.5, 1000), tested=400,
    ),
    "gain-small": Case(
        PB, "the same", "100 images, heavy tails", 0.95, mean_of(differences, 0.5, 100),
    ),
    "gain-two": Case(
        PB, "the same, 2 seeds", "1,000 images, heavy tails", 0.95, pairs(differences, 0.5, 1000),
        tested=400,
    ),
    "separation": Case(
        PB, "claims on accuracies", "1,000 images, 6 % against 4 %", 0.95,
        mean_of(accuracies, 0.02, 1000), tested=400,
    ),
    "units": Case(PB, "claims on counts of active units", "4 of 8 active", 0.95, units,
        tested=100, stated=1.0,
    ),
    "least-apart": Case(
        PB, "claims on the smaller of two gains", "one clearly smaller", 0.95,
        least_of([0.0, 0.5], 1000), tested=400,
    ),
    "least-equal": Case(
        PB, "the same", "both equal", 0.95, least_of([0.0, 0.0], 1000),
        tested=400, stated=0.884,
    ),
    "rise": Case(
        PB, "moments.4", "ten latents, one rises least", 0.95, of_claim(least_rise, rises, 0.01),
        40, 0,
    ),
    "variance-one": Case(
        CORRECTED, "moments.1", "62 latents, one off by 0.4", 0.95,
        of_claim(variance_off, latents(WIDE, SHIFTED), 0.4), 40, 0,
    ),
    "variance-none": Case(
        CORRECTED, "the same", "62 latents, each off by 0.05", 0.95,
        of_claim(variance_off, latents(NARROW, SHIFTED), 0.05), 40, 0,
    ),
    "mean-one": Case(
        CORRECTED, "moments.2", "62 latents, one off by 0.3", 0.95,
        of_claim(mean_off, latents(LAWFUL, FAR), 0.3), 40, 0,
    ),
    "mean-none": Case(
        CORRECTED, "the same", "62 latents, each off by 0.05", 0.95,
        of_claim(mean_off, latents(LAWFUL, NEAR), 0.05), 40, 0,
    ),
    "kurtosis-one": Case(
        CORRECTED, "moments.3", "10 latents, one of kurtosis 2.16", 0.95,
        of_claim(excess_kurtosis, bimodal, BIMODAL), 40, 0,
    ),
    "kurtosis-none": Case(
        CORRECTED, "the same", "10 latents, each of kurtosis 2.03", 0.95,
        of_claim(excess_kurtosis, flat, 1.2 * 0.9**2), 40, 0,
    ),
    "frechet": Case(
        PB, "vae.2, mixture.7, moments.6", "1,000 images, 32 features", 0.95,
        of_claim(farther, features, FEATURES * (0.25 - 0.04)), 100, 0,
    ),
}  # fmt: skip


def coverage(case: Case, simulations: int, seed: int = 0) -> tuple[float, float]:
    """Share of the intervals that hold the truth, and its standard error."""
    held = np.concatenate(
        [
            case.simulate(np.random.default_rng([seed, part]), min(500, simulations - part))
            for part in range(0, simulations, 500)
        ]
    )
    share = float(held.mean())
    return share, math.sqrt(max(share * (1 - share), 1 / simulations) / simulations)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.tested])
def test_coverage_is_as_stated(name: str) -> None:
    case = CASES[name]
    share, _ = coverage(case, case.tested, seed=1)
    error = math.sqrt(max(case.stated * (1 - case.stated), 1 / case.tested) / case.tested)
    assert abs(share - case.stated) < 4 * error, share


def main() -> None:
    print("| interval | used for | simulated on | nominal | measured | s.e. | simulations |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, case in CASES.items():
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        share, error = coverage(case, case.simulations)
        cells = [case.interval, case.used_for, case.data, f"{100 * case.nominal:.1f} %"]
        cells += [f"{100 * share:.1f} %", f"{100 * error:.1f} %", str(case.simulations)]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
