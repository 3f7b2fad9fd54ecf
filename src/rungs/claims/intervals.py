"""The interval of a statistic: over seeds by Student's t, over images by the paired bootstrap.

The unit of replication is a training run with a seed of its own. With three seeds or more the interval
is Student's t over the seeds' values. Fewer seeds say nothing about another training; the bootstrap over
the test images then shows which way these trained models lean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from rungs.claims.core import NOT_REPRODUCED, REPRODUCED, UNDECIDED
from rungs.claims.resampling import CHUNK, UNIFORM, Evaluations, Resampling, Statistic

CONFIDENCE = 0.95
MIN_SEEDS = 3
RESAMPLES = 2000


@dataclass(frozen=True)
class Measurement:
    """A statistic over seeds.

    Attributes:
        value: its mean over the seeds.
        low: the lower end of the interval.
        high: the upper end.
        seeds: number of seeds.
    """

    value: float
    low: float
    high: float
    seeds: int

    @property
    def defined(self) -> bool:
        """Return whether the value and both ends are numbers."""
        return all(map(math.isfinite, (self.value, self.low, self.high)))

    def widened(self, by: float) -> Measurement:
        """Return the measurement with both ends moved outwards by ``by``."""
        return Measurement(self.value, self.low - by, self.high + by, self.seeds)


def measure(
    statistic: Statistic,
    seeds: Sequence[Evaluations],
    step: Callable[[Evaluations], float] | None = None,
) -> Measurement:
    """Measure a statistic on the evaluations of every seed.

    Args:
        statistic: ``[resamples]``, or ``[resamples, values]`` where the largest value counts.
        seeds: the evaluations of each seed.
        step: for counts, see :class:`rungs.claims.core.Part`.
    """
    drawn = [statistic(seed, UNIFORM)[0] for seed in seeds]
    if any(np.ndim(found) for found in drawn):
        return _measure_largest(statistic, seeds, drawn)
    values = np.array(drawn, dtype=np.float64)
    if len(values) >= MIN_SEEDS:
        low, high = t_interval(values)
    else:
        samples = np.mean([bootstrap(statistic, seed) for seed in seeds], axis=0)
        low, high = np.quantile(samples, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    if step is not None and np.ptp(values) == 0:
        half = step(seeds[0]) / 2
        low, high = min(low, values[0] - half), max(high, values[0] + half)
    return Measurement(float(values.mean()), float(low), float(high), len(values))


def _measure_largest(
    statistic: Statistic, seeds: Sequence[Evaluations], drawn: Sequence[np.ndarray]
) -> Measurement:
    """Measure the largest of several values, for statements about some or about every value.

    The largest of many noisy values is too high by chance. So each value of a seed has a bootstrap
    interval at the confidence ``1 - 0.05/values`` (Bonferroni); the largest lower end is not too high,
    whichever value is the largest.

    With three seeds or more the lower end is Student's t over these lower ends, the upper end Student's t
    over the largest values, which chance only raises: both ends err outwards. The values of different
    seeds do not correspond (a latent has no number), so that only their largest are compared. With fewer
    seeds the ends are the means over seeds of the largest lower and the largest upper end.
    """
    largest = np.array([values.max() for values in drawn])
    ends = []
    for seed, values in zip(seeds, drawn, strict=True):
        tail = (1 - CONFIDENCE) / 2 / len(values)
        low, high = np.quantile(bootstrap(statistic, seed), [tail, 1 - tail], axis=0)
        ends.append((low.max(), high.max()))
    if len(seeds) >= MIN_SEEDS:
        low, high = t_interval(np.array(ends)[:, 0])[0], t_interval(largest)[1]
    else:
        low, high = np.mean(ends, axis=0)
    return Measurement(float(largest.mean()), float(low), float(high), len(seeds))


def t_interval(values: np.ndarray) -> tuple[float, float]:
    """Return Student's t interval of the mean of ``values``, one a seed."""
    error = values.std(ddof=1) / math.sqrt(len(values))
    half = stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2) * error
    return float(values.mean() - half), float(values.mean() + half)


def bootstrap(statistic: Statistic, evaluations: Evaluations) -> np.ndarray:
    """Return the values of a statistic for resampled images, ``[resamples]`` or ``[resamples, values]``."""
    chunks = range(RESAMPLES // CHUNK)
    found = [statistic(evaluations, Resampling(chunk)) for chunk in chunks]
    # a statistic that resamples nothing gives one row
    return np.concatenate([np.broadcast_to(part, (CHUNK, *part.shape[1:])) for part in found])


def judge(measured: Measurement, relation: str, margin: float) -> str:
    """Return the verdict on a measurement.

    Returns:
        ``reproduced`` if the relation to the margin holds on the whole interval, ``not reproduced`` if it
        holds nowhere on it, else ``undecided``, also where the statistic is not defined.

    Example:
        >>> judge(Measurement(0.6, 0.3, 0.9, 3), ">", 0.2)
        'reproduced'
        >>> judge(Measurement(0.5, 0.1, 0.9, 3), ">", 0.2)
        'undecided'
        >>> judge(Measurement(-0.2, -0.3, -0.12, 3), "within", 0.1)
        'not reproduced'
    """
    if not measured.defined:
        return UNDECIDED
    low, high = measured.low, measured.high
    everywhere, nowhere = {
        "<": (high < margin, low >= margin),
        "<=": (high <= margin, low > margin),
        ">": (low > margin, high <= margin),
        ">=": (low >= margin, high < margin),
        "within": (-margin < low and high < margin, low >= margin or high <= -margin),
    }[relation]
    if everywhere:
        return REPRODUCED
    return NOT_REPRODUCED if nowhere else UNDECIDED
