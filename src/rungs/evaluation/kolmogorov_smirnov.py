"""The Kolmogorov-Smirnov distance of an aggregate posterior from N(0, 1), latent by latent.

It comes from a binned cdf whose error is bounded. The arrays are those of :mod:`rungs.evaluation.moments`.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from rungs.evaluation.moments import CHUNK, SMALLEST, uniform

#: of the binned cdf: greatest distance of log standard deviations, error aimed at, least and most
#: points of the lattice of means
LOG_STEP, AIM = 0.04, 3e-5
LEAST_POINTS, MOST_POINTS = 2**10, 2**14
#: standard deviations beyond which a component has no mass: 1 - ndtr(5.5) is 2e-8
TAIL = 5.5
#: greatest absolute second derivatives of ndtr(u), and of ndtr(u e^-s) in s
CURVATURE, LOG_CURVATURE = 0.2420, 0.3252


def kolmogorov_smirnov(
    mean: np.ndarray, variance: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``sup |Q(z) - ndtr(z)|`` of the cdfs, and a bound of its error, both ``[latents]``.

    The components are shared out, bilinearly, to a lattice of means (spacing h) and of log standard
    deviations (spacing r), and each lattice row is convolved with its Gaussian by the FFT. Interpolation
    of a cdf that is linear in the lattice's cells errs by at most ``h^2/8 max |F''|``, which is
    ``0.0303 h^2 E[1/sigma^2]`` for the means, again as much for the maximum between points (and
    ``0.0303 h^2`` for N(0, 1)), and ``0.0407 r^2`` for the deviations. h is chosen so that the bound is
    below 2e-4 unless the posteriors are narrower than some thousandths of the latent's range. Points
    (variance 0 throughout) have the exact distance of their weighted empirical cdf.
    """
    share = uniform(len(mean)) if weights is None else weights
    latents = mean.shape[1]
    if latents == 0:
        return np.zeros(0), np.zeros(0)
    if not np.any(variance):
        distances = np.array([_of_points(mean[:, u], share) for u in range(latents)])
        return distances, np.zeros(latents)
    deviation = np.sqrt(np.maximum(variance, SMALLEST))
    reach = TAIL * float(deviation.max())
    low, high = float(mean.min()) - reach, float(mean.max()) + reach
    precision = np.zeros(latents)
    for i in range(0, len(mean), CHUNK):
        precision += share[i : i + CHUNK] @ (1.0 / deviation[i : i + CHUNK].astype(np.float64) ** 2)
    wanted = (high - low) * math.sqrt(CURVATURE / 8 * float(precision.max()) / AIM)
    points = int(np.clip(2 ** math.ceil(math.log2(wanted)), LEAST_POINTS, MOST_POINTS))
    step = (high - low) / (points - 2)
    log_low = math.log(float(deviation.min()))
    count = math.ceil((math.log(float(deviation.max())) - log_low) / LOG_STEP) + 2
    kernels = _kernels(np.exp(log_low + LOG_STEP * np.arange(count)), step, points)
    edges = low + step * (np.arange(points) + 0.5)
    normal = ndtr(edges)
    distances = np.empty(latents)
    for u in range(latents):
        table = _shared_out(
            (mean[:, u] - low) / step,
            (np.log(deviation[:, u]) - log_low) / LOG_STEP,
            share,
            (count, points),
        )
        used = np.flatnonzero(table.any(1))
        spectrum = (np.fft.rfft(table[used]) * kernels[used]).sum(0)
        mass = np.fft.irfft(spectrum, points)
        distances[u] = np.abs(np.cumsum(mass) - normal).max()
    error = CURVATURE / 8 * step**2 * (2 * precision + 1) + LOG_CURVATURE / 8 * LOG_STEP**2
    return distances, error


def _shared_out(
    x: np.ndarray, y: np.ndarray, share: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Share out weights at real positions (y, x) to the four points of a lattice around each."""
    rows, columns = shape
    i, j = y.astype(np.int64), x.astype(np.int64)
    b, a = y - i, x - j
    flat = np.zeros(rows * columns)
    for row, down in ((i, 1 - b), (i + 1, b)):
        for column, along in ((j, 1 - a), (j + 1, a)):
            flat += np.bincount(row * columns + column, share * down * along, rows * columns)
    return flat.reshape(shape)


def _kernels(deviations: np.ndarray, step: float, points: int) -> np.ndarray:
    """Return the transforms of each Gaussian's mass in cells around 0, ``[deviations, frequencies]``."""
    offsets = step * (np.fft.fftfreq(points, 1 / points) - 0.5)
    parts = [
        np.fft.rfft(ndtr((offsets + step) / deviation) - ndtr(offsets / deviation))
        for deviation in deviations
    ]
    return np.array(parts)


def _of_points(values: np.ndarray, share: np.ndarray) -> float:
    """Return the distance of a weighted empirical cdf from N(0, 1)."""
    order = values.argsort(kind="stable")
    after = np.cumsum(share[order])
    normal = ndtr(values[order].astype(np.float64))
    return float(max(np.max(after - normal), np.max(normal - after + share[order])))
