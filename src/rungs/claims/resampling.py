"""The weights of images, samples and label draws, and the statistics that take them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

import numpy as np

from rungs.storage.result_file import Stored

BOOTSTRAP_SEED = 1979
#: resamples whose weights are held at once: bounds the memory for large test sets
CHUNK = 100


class Resampling:
    """Weights of the images, samples or label draws of an evaluation.

    Two statistics, or two evaluations, that ask for the weights of the same things get the same weights,
    so that differences between runs are paired.

    Args:
        chunk: number of the resampling; None for uniform weights, one resample.

    Example:
        >>> Resampling()("images", 4)
        array([[0.25, 0.25, 0.25, 0.25]])
    """

    def __init__(self, chunk: int | None = None) -> None:
        self.chunk = chunk

    def __call__(self, things: str, count: int) -> np.ndarray:
        """Return the weights ``[resamples, count]`` of ``count`` things; each row adds up to 1."""
        if self.chunk is None:
            return np.full((1, count), 1 / count)
        seed = [BOOTSTRAP_SEED, self.chunk, zlib.crc32(things.encode())]
        random = np.random.default_rng(seed)
        drawn = random.multinomial(count, np.full(count, 1 / count), size=CHUNK)
        weights: np.ndarray = drawn / count
        return weights


UNIFORM = Resampling()


def every_resample(statistic: Callable[[Resampling], np.ndarray], resamples: int) -> np.ndarray:
    """Return what a statistic of one evaluation gives by uniform weights, ``[1 + resamples, ...]``, and for
    each resample below it: the form in which evidence stores it (:mod:`rungs.exchange.reduction`)."""
    drawn = [Resampling(chunk) for chunk in range(resamples // CHUNK)]
    return np.concatenate([statistic(each) for each in (UNIFORM, *drawn)])


def resamples_of(stored: np.ndarray, resampling: Resampling) -> np.ndarray:
    """Return the rows of :func:`every_resample` that belong to a resampling."""
    if resampling.chunk is None:
        return stored[:1]
    start = 1 + resampling.chunk * CHUNK
    return stored[start : start + CHUNK]


#: name in the claim -> the evaluation of one seed
Evaluations = Mapping[str, Stored]
#: evaluations and a resampling -> values ``[resamples]``, or ``[resamples, values]`` where the largest of
#: several values counts
Statistic = Callable[[Evaluations, Resampling], np.ndarray]
