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

from rungs.claims import intervals
from rungs.claims.arrays import frechet
from rungs.claims.intervals import Measurement, bootstrap, judge, measure, t_interval
from rungs.claims.moments import excess_kurtosis
from rungs.claims.resampling import Evaluations, Resampling
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
    samples = bootstrap(lambda _, resampling: statistic(resampling("images", images)), {})
    tails = [(1 - intervals.CONFIDENCE) / 2, (1 + intervals.CONFIDENCE) / 2]
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


def agreeing(sure: int, chances: list[float], count: int = 3) -> Simulation:
    """A count over seeds: ``sure`` units are active in every seed, the others by chance."""

    def simulate(random: Random, simulations: int) -> np.ndarray:
        held = []
        for _ in range(simulations):
            counts = sure + (random.random((count, len(chances))) < chances).sum(1)
            seeds = [{"run": evaluation(count=np.array(value))} for value in counts]
            found = measure(lambda e, _: e["run"]["count"][None], seeds, lambda _: 1.0)
            held.append(found.low <= sure + sum(chances) <= found.high)
        return np.array(held)

    return simulate


def drifting(left: float, widened: bool) -> Simulation:
    """Three seeds whose statistic moved by 0.5 (deviation 0.2) in the continuation and has ``left`` to go;
    the truth is where it goes. Without being widened the interval is about where it is."""

    def simulate(random: Random, simulations: int) -> np.ndarray:
        held = []
        for _ in range(simulations):
            after = 0.3 * random.normal(size=3) - left
            before = after - 0.5 - 0.2 * random.normal(size=3)
            by = abs(np.mean(after - before)) if widened else 0.0
            low, high = t_interval(after)
            held.append(low - by <= 0 <= high + by)
        return np.array(held)

    return simulate


def gapped(error: float) -> Simulation:
    """Three seeds whose L_k misses 0.4 nats (deviation 0.1); the gap is estimated with a relative error."""

    def simulate(random: Random, simulations: int) -> np.ndarray:
        held = []
        for _ in range(simulations):
            gap = 0.4 + 0.1 * random.normal(size=3)
            low, high = t_interval(0.3 * random.normal(size=3) - gap)
            by = abs(np.mean(gap * (1 + error * random.normal(size=3))))
            held.append(low - by <= 0 <= high + by)
        return np.array(held)

    return simulate


# --- claims over several values -----------------------------------------------------------------


def evaluation(**arrays: np.ndarray) -> Stored:
    renamed = {name.replace("__", "/"): array for name, array in arrays.items()}
    return Stored(Path("simulated"), renamed, {})


def posteriors(random: Random, images: int, latents: int = 10) -> Stored:
    """Gaussian posterior means of variance 0.9, and posteriors of variance 0.1."""
    mean = math.sqrt(0.9) * random.normal(size=(images, latents))
    return evaluation(
        layers__1__posterior_mean=mean,
        layers__1__posterior_variance=np.full(mean.shape, 0.1),
        layers__1__kl=np.ones(latents),
    )


def over_seeds(
    statistic: Any, make: Callable[[Random], Stored], truth: float, seeds: int
) -> Simulation:
    """The claims' own measure of the largest of several values, of one seed or of three."""

    def simulate(random: Random, count: int) -> np.ndarray:
        ends = []
        for _ in range(count):
            found = measure(statistic, [{"vae": make(random)} for _ in range(seeds)])
            ends.append((found.low, found.high))
        return holds(np.array(ends).T, truth)

    return simulate


IMAGES = 1000


def bimodal(random: Random) -> Stored:
    """Ten latents of kurtosis 3, but one, whose posterior means are two clusters."""
    found = posteriors(random, IMAGES)
    sign = np.where(random.random(IMAGES) < 0.5, -1.0, 1.0)
    found.arrays["layers/1/posterior_mean"][:, 0] = 0.8 * sign + 0.5 * random.normal(size=IMAGES)
    return found


def flat(random: Random) -> Stored:
    """Ten latents whose posterior means are uniform, of variance 0.9: excess kurtosis -1.2 * 0.9^2."""
    found = posteriors(random, IMAGES)
    edge = math.sqrt(3 * 0.9)
    found.arrays["layers/1/posterior_mean"][:] = random.uniform(-edge, edge, (IMAGES, 10))
    return found


#: of 0.8 s + e, e of variance 0.25 + 0.1: (0.8^4 + 6 0.8^2 0.35 + 3 0.35^2)/(0.8^2 + 0.35)^2
BIMODAL = abs((0.8**4 + 6 * 0.64 * 0.35 + 3 * 0.35**2) / (0.64 + 0.35) ** 2 - 3)


def every_r(evaluations: Evaluations, resampling: Resampling) -> np.ndarray:
    """A statement about every one of several values that are known with an error."""
    r = evaluations["vae"]["stationarity/r"]
    return np.abs(resampling("batches", len(r)) @ r)


def batches(first: float, others: float) -> Callable[[Random], Stored]:
    """R of ten latents in twenty batches, each with a deviation of 0.05."""

    def make(random: Random) -> Stored:
        r = others + 0.05 * random.normal(size=(20, 10))
        r[:, 0] += first - others
        return evaluation(stationarity__r=r)

    return make


FEATURES = 32


def farther(evaluations: Any, resampling: Any) -> np.ndarray:
    """As claims compare samples: one Frechet distance less another's, from the same test images."""
    vae = evaluations["vae"]
    return frechet(vae, resampling, "far") - frechet(vae, resampling)


def features(random: Random) -> Stored:
    """Test images N(0, I), samples N(0.2, I) and N(0.5, I) in 32 features."""
    drawn = random.normal(size=(3, IMAGES, FEATURES))
    return evaluation(
        frechet__test_features=drawn[0],
        frechet__sample_features=0.2 + drawn[1],
        frechet__far_features=0.5 + drawn[2],
    )


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
CORRECTED, LARGEST = "paired bootstrap, corrected", "Student's t over corrected values"
COUNT, DRIFT, GAP = (
    f"{T}, half a unit at least",
    f"{T}, with the drift",
    f"{T}, with the gap of L_k",
)
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
        PB, "leanings of claims on L_k", "1,000 images, heavy tails", 0.95,
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
        PB, "leanings of claims on accuracies", "1,000 images, 6 % against 4 %", 0.95,
        mean_of(accuracies, 0.02, 1000), tested=400,
    ),
    "units": Case(PB, "leanings of claims on active units", "4 of 8 active", 0.95, units,
        tested=100, stated=1.0,
    ),
    "seeds-five": Case(
        T, "claims, 5 seeds", "Gaussian", 0.95, seeds(lambda r, n: r.normal(size=n), 0.0, 5),
    ),
    "count-certain": Case(
        COUNT, "active units, 3 seeds", "4 certain, one in 1 of 20 seeds", 0.95, agreeing(4, [0.05]),
        tested=300, stated=1.0,
    ),
    "count-uncertain": Case(
        COUNT, "the same", "4 certain, three in every second seed", 0.95, agreeing(4, [0.5] * 3),
        tested=300, stated=0.997,
    ),
    "drift-none": Case(
        DRIFT, "claims on runs that still move", "0.25 left, not widened", 0.95,
        drifting(0.25, False), stated=0.859,
    ),
    "drift-half": Case(
        DRIFT, "the same", "0.25 left, half of the drift", 0.95, drifting(0.25, True),
        stated=0.997,
    ),
    "drift-all": Case(
        DRIFT, "the same", "0.5 left, as much as the drift", 0.95, drifting(0.5, True),
        stated=0.963,
    ),
    "drift-twice": Case(
        DRIFT, "the same", "1.0 left, twice the drift", 0.95, drifting(1.0, True), stated=0.627,
    ),
    "gap": Case(
        GAP, "claims on L_k", "0.4 nats, estimated with an error of 30 %", 0.95, gapped(0.3),
        stated=0.974,
    ),
    "some-one": Case(
        LARGEST, "moments.3, 3 seeds", "10 latents, one of kurtosis 2.16", 0.95,
        over_seeds(excess_kurtosis, bimodal, BIMODAL, 3), 100, 0,
    ),
    "some-all": Case(
        LARGEST, "the same", "10 latents, each of kurtosis 2.03", 0.95,
        over_seeds(excess_kurtosis, flat, 1.2 * 0.9**2, 3), 100, 0,
    ),
    "some-one-seed": Case(
        CORRECTED, "the leaning of moments.3", "10 latents, one of kurtosis 2.16", 0.95,
        over_seeds(excess_kurtosis, bimodal, BIMODAL, 1), 100, 0,
    ),
    "every-one": Case(
        LARGEST, "the largest of ten values, 3 seeds", "one at 0.1", 0.95,
        over_seeds(every_r, batches(0.1, 0.0), 0.1, 3), 400, 40,
    ),
    "every-all": Case(
        LARGEST, "the same", "each at 0.03", 0.95,
        over_seeds(every_r, batches(0.03, 0.03), 0.03, 3), 400, 40, stated=1.0,
    ),
    "frechet": Case(
        PB, "the leanings of vae.2, mixture.7, moments.6", "1,000 images, 32 features", 0.95,
        over_seeds(farther, features, FEATURES * (0.25 - 0.04), 1), 100, 0,
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


def test_two_sets_of_seeds_hardly_ever_contradict_each_other() -> None:
    """Even where the truth lies on the margin, one set in forty is on either wrong side."""
    random = np.random.default_rng(2)
    trials = 4000
    verdicts = []
    for _ in range(2 * trials):
        low, high = t_interval(random.normal(size=3))
        verdicts.append(judge(Measurement(0.0, low, high, 3), ">", 0.0))
    first, second = verdicts[:trials], verdicts[trials:]
    pairs = list(zip(first, second, strict=True))
    opposite = sum({"reproduced", "not reproduced"} == set(pair) for pair in pairs)
    assert verdicts.count("reproduced") / (2 * trials) == pytest.approx(0.025, abs=0.007)
    assert opposite / trials < 0.004


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
