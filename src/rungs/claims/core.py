"""How a claim is decided: statistic, margin, interval, verdict.

A statistic is a function of the evaluations and of weights over the test images; its value for
the runs at hand has uniform weights, its bootstrap distribution has the weights of resampled
images, the same for all evaluations (paired). With three seeds or more the interval is
Student's t over the seeds' values instead.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from rungs.errors import StoreError
from rungs.evaluation.convergence import converged
from rungs.storage.result_file import Stored
from rungs.study.runs import Run
from rungs.study.settings import RunSettings, run_of, settings_of

CONFIDENCE = 0.95
RESAMPLES = 2000
BOOTSTRAP_SEED = 1979
#: resamples whose weights are held at once: bounds memory for large test sets
CHUNK = 100
MIN_SEEDS_FOR_T = 3
#: how the basis of a claim begins of which the profile has no runs
LACKING = "the profile lacks runs"
RELATIONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}

#: name in the claim -> the evaluation of one seed
Evaluations = Mapping[str, Stored]
#: evaluations, weights ``[resamples, images]`` -> values ``[resamples]``, or ``[resamples, values]``
#: where a claim is about some of several values
Statistic = Callable[[Evaluations, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Need:
    """An evaluation that a claim rests on: a variant at a size, by default a depth."""

    variant: str
    size: int
    axis: str = "depth"


@dataclass(frozen=True)
class Statement:
    """A document's own number for a claim, computed from numbers that it states.

    Attributes:
        metric: of the rows of ``resources/published.csv``.
        combine: the numbers of a claim's needs, by their names in it -> the claim's number.
    """

    metric: str
    combine: Callable[[Mapping[str, float]], float]


@dataclass(frozen=True)
class Claim:
    """A document's statement and how it is decided.

    Attributes:
        name: the claim's id.
        statement: in words.
        needs: name in the statistic -> evaluation.
        statistic: what is measured.
        relation: how it must lie to the threshold for the claim to hold.
        threshold: the margin below which a difference does not count.
        data: the beginning of the names of the data sets that it concerns; all by default.
        evidence: figures and tables that show it.
        published: the document's own number; none where it states none.
    """

    name: str
    document: str
    statement: str
    needs: Mapping[str, Need]
    statistic: Statistic
    relation: str
    threshold: float
    data: str = ""
    evidence: tuple[str, ...] = ()
    published: Statement | None = None


@dataclass(frozen=True)
class StoredRun:
    """One run's training and evaluation files."""

    training: Stored
    evaluation: Stored

    @property
    def settings(self) -> RunSettings:
        """The settings that the run was trained by."""
        return settings_of(self.evaluation)

    @property
    def name(self) -> str:
        """The run's path."""
        return self.settings["run"]


@dataclass(frozen=True)
class Decision:
    """A claim decided on one data set."""

    claim: Claim
    dataset: str
    measured: float
    interval: tuple[float, float]
    verdict: str
    basis: str
    runs: list[str]


def decide(claim: Claim, dataset: str, runs: Sequence[StoredRun]) -> Decision:
    """Decide a claim from a data set's runs.

    Returns:
        ``undecided`` where runs lack or are unconverged, or where the interval spans the
        threshold; the basis says which.
    """
    nan = float("nan")
    by_seed = _common_seeds(claim, dataset, runs)
    if not by_seed:
        lacking = ", ".join(f"{n.variant} at {n.axis} {n.size}" for n in claim.needs.values())
        return Decision(claim, dataset, nan, (nan, nan), "undecided", f"{LACKING}: {lacking}", [])
    used = [run for chosen in by_seed for run in chosen.values()]
    names = sorted({run.name for run in used})
    evaluations = [{name: run.evaluation for name, run in c.items()} for c in by_seed]
    try:
        measured, interval, basis = measure(claim.statistic, evaluations)
    except StoreError as error:
        lacking = f"an evaluation lacks what the claim needs: {error}"
        labels = [run.evaluation.arrays.get("test/labels", np.zeros(1)) for run in used]
        if any((each < 0).any() for each in labels):
            lacking = "the claim needs labels, which the data set does not have"
        return Decision(claim, dataset, nan, (nan, nan), "undecided", lacking, names)
    verdict = judge(interval, claim.relation, claim.threshold)
    unconverged = sorted({r.name for r in used if not converged(r.training, r.evaluation)})
    if unconverged:
        verdict, basis = "undecided", f"unconverged: {', '.join(unconverged)}"
    return Decision(claim, dataset, measured, interval, verdict, basis, names)


def _common_seeds(
    claim: Claim, dataset: str, runs: Sequence[StoredRun]
) -> list[dict[str, StoredRun]]:
    """For every seed that has all the runs of a claim, those runs by their names in it."""
    found: dict[int, dict[str, StoredRun]] = {}
    for trained in runs:
        run = run_of(trained.evaluation)
        for name, need in claim.needs.items():
            if run == Run(dataset, need.variant, need.size, run.seed, need.axis):
                found.setdefault(run.seed, {})[name] = trained
    return [found[seed] for seed in sorted(found) if len(found[seed]) == len(claim.needs)]


def measure(
    statistic: Statistic, seeds: Sequence[Evaluations]
) -> tuple[float, tuple[float, float], str]:
    """Value, interval and what the interval is over, from the evaluations of every seed."""
    images = images_of(next(iter(seeds[0].values())))
    uniform = np.full((1, images), 1 / images)
    if np.ndim(statistic(seeds[0], uniform)) == 2:
        return measure_some(statistic, seeds, uniform)
    values = np.array([float(statistic(seed, uniform)[0]) for seed in seeds])
    if len(values) >= MIN_SEEDS_FOR_T:
        return float(values.mean()), t_interval(values), f"{len(values)} seeds"
    samples = np.mean([bootstrap(statistic, seed, images) for seed in seeds], axis=0)
    low, high = np.quantile(samples, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(values.mean()), (float(low), float(high)), "these trained models only"


def measure_some(
    statistic: Statistic, seeds: Sequence[Evaluations], uniform: np.ndarray
) -> tuple[float, tuple[float, float], str]:
    """The same for a statement about *some* of several values: the statistic gives
    ``[resamples, values]``, and what is measured is the largest value.

    The largest of many noisy values is large by chance. So every value has an interval at the
    confidence ``1 - 0.05/values`` (Bonferroni), and the ends are the largest lower and the largest
    upper end: each holds for the largest true value with the confidence of all intervals together.
    Values of different seeds do not correspond, so the ends are averaged over seeds.

    With three seeds or more the interval is Student's t over the seeds' lower ends: the largest value
    itself is too high by chance in every seed alike, its lower end is not. The upper end is that of
    the largest values.
    """
    largest, ends = [], []
    for seed in seeds:
        values = statistic(seed, uniform)[0]
        tail = (1 - CONFIDENCE) / 2 / len(values)
        samples = bootstrap(statistic, seed, uniform.shape[1])
        low, high = np.quantile(samples, [tail, 1 - tail], axis=0)
        largest.append(values.max())
        ends.append((low.max(), high.max()))
    measured = float(np.mean(largest))
    if len(seeds) >= MIN_SEEDS_FOR_T:
        low, high = t_interval(np.array(ends)[:, 0])[0], t_interval(np.array(largest))[1]
        return measured, (low, high), f"{len(seeds)} seeds"
    low, high = np.mean(ends, axis=0)
    return measured, (float(low), float(high)), "these trained models only"


def images_of(evaluation: Stored) -> int:
    """Number of test images of an evaluation, also of a model without a likelihood."""
    return len(evaluation["test/lk" if "test/lk" in evaluation.arrays else "test/labels"])


def t_interval(values: np.ndarray) -> tuple[float, float]:
    """Student's t interval for the mean of ``values``, one a seed."""
    error = values.std(ddof=1) / math.sqrt(len(values))
    half = stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2) * error
    return float(values.mean() - half), float(values.mean() + half)


def bootstrap(statistic: Statistic, evaluations: Evaluations, images: int) -> np.ndarray:
    """Values of a statistic for resampled test images, ``[resamples]``.

    The same images are drawn for every evaluation and every call, so that differences
    between runs are paired.
    """
    random = np.random.default_rng(BOOTSTRAP_SEED)
    values = []
    for _ in range(RESAMPLES // CHUNK):
        counts = random.multinomial(images, np.full(images, 1 / images), size=CHUNK)
        values.append(statistic(evaluations, counts / images))
    return np.concatenate(values)


def judge(interval: tuple[float, float], relation: str, threshold: float) -> str:
    """``reproduced`` if the whole interval has the relation to the threshold, ``not reproduced``
    if none of it has, else ``undecided``.

    >>> judge((0.3, 0.9), ">", 0.2), judge((0.1, 0.9), ">", 0.2), judge((0.0, 0.2), ">", 0.2)
    ('reproduced', 'undecided', 'not reproduced')
    """
    holds = RELATIONS[relation]
    low, high = (bool(holds(end, threshold)) for end in interval)
    if low and high:
        return "reproduced"
    return "undecided" if low or high else "not reproduced"
