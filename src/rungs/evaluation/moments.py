"""The aggregate posterior ``Q(z) = mean over images of q(z|x)``, latent by latent.

Where q(z|x) is Gaussian given x, Q of one latent is a mixture of one Gaussian an image (Asperti 2019),
and its moments are those of the mixture in closed form: no sampling. A mixture posterior gives one
component more an image. Derivations: ``docs/moments.md``. No torch: claims and figures use it.

Arrays: ``mean`` and ``variance`` of the components ``[components, latents]``, ``weights``
``[components]`` that add up to 1, uniform by default. A component of variance 0 is a point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

#: rows at once: bounds memory
CHUNK = 8192
SMALLEST = 1e-12


@dataclass(frozen=True)
class Moments:
    """Moments of each latent, ``[..., latents]``.

    Attributes:
        mean: of Q(z).
        variance_of_mean: Var(mu), over images.
        mean_variance: E[sigma^2], over images. The variance law: the two add up to 1.
        skewness: third central moment over the cubed standard deviation; 0 for a Gaussian.
        kurtosis: fourth central moment over the squared variance; 3 for a Gaussian.
    """

    mean: np.ndarray
    variance_of_mean: np.ndarray
    mean_variance: np.ndarray
    skewness: np.ndarray
    kurtosis: np.ndarray

    @property
    def variance(self) -> np.ndarray:
        """Var(mu) + E[sigma^2], the variance of Q(z)."""
        return self.variance_of_mean + self.mean_variance


def moments(mean: np.ndarray, variance: np.ndarray, weights: np.ndarray | None = None) -> Moments:
    """Compute the moments of Q(z) in closed form, in float64 and in chunks.

    With ``d = mu - E[mu]``, a Gaussian's second, third and fourth moments about ``E[mu]`` are
    ``d^2 + s``, ``d^3 + 3 d s`` and ``d^4 + 6 d^2 s + 3 s^2`` with ``s = sigma^2``.

    Example:
        >>> found = moments(np.array([[-1.0], [1.0]]), np.zeros((2, 1)))
        >>> float(found.variance[0]), float(found.kurtosis[0])
        (1.0, 1.0)
    """
    share = uniform(len(mean)) if weights is None else weights
    blocks = [slice(i, i + CHUNK) for i in range(0, len(mean), CHUNK)]
    centre = np.zeros(mean.shape[1])
    for part in blocks:
        centre += share[part] @ mean[part].astype(np.float64)
    sums = np.zeros((4, mean.shape[1]))
    for part in blocks:
        d = mean[part] - centre
        s = variance[part].astype(np.float64)
        square = d * d
        sums[0] += share[part] @ square
        sums[1] += share[part] @ s
        sums[2] += share[part] @ (d * (square + 3 * s))
        sums[3] += share[part] @ (square * square + 6 * square * s + 3 * s * s)
    return _moments(centre, *sums)


def resampled_moments(mean: np.ndarray, variance: np.ndarray, weights: np.ndarray) -> Moments:
    """Compute the moments for many weightings of the images at once, ``[resamples, latents]``.

    Args:
        weights: ``[resamples, components]``, each row adding up to 1.
    """
    # powers about a fixed centre, shifted to each resample's own mean afterwards
    centre = mean.mean(0, dtype=np.float64)
    d, s = mean - centre, variance.astype(np.float64)
    square = d * d
    shift = weights @ d
    second_of_mean, spread = weights @ square, weights @ s
    third = weights @ (d * (square + 3 * s))
    fourth = weights @ (square * square + 6 * square * s + 3 * s * s)
    second = second_of_mean + spread
    return _moments(
        centre + shift,
        second_of_mean - shift**2,
        spread,
        third - 3 * shift * second + 2 * shift**3,
        fourth - 4 * shift * third + 6 * shift**2 * second - 3 * shift**4,
    )


def _moments(
    mean: np.ndarray, of_mean: np.ndarray, spread: np.ndarray, third: np.ndarray, fourth: np.ndarray
) -> Moments:
    variance = np.maximum(of_mean + spread, SMALLEST)
    return Moments(mean, of_mean, spread, third / variance**1.5, fourth / variance**2)


def uniform(count: int) -> np.ndarray:
    """Return equal weights that add up to 1."""
    return np.full(count, 1 / count)


def density(
    z: np.ndarray, mean: np.ndarray, variance: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return the density of Q at ``z [points]``.

    Args:
        mean, variance: of the components of one latent, ``[components]``; variances above 0.
    """
    share = uniform(len(mean)) if weights is None else weights
    found = np.zeros(len(z))
    for part in _blocks(len(mean), len(z)):
        deviation = np.sqrt(variance[part].astype(np.float64))
        u = (z - mean[part, None]) / deviation[:, None]
        found += share[part] / deviation @ np.exp(-0.5 * u * u)
    return found / math.sqrt(2 * math.pi)


def cdf(
    z: np.ndarray, mean: np.ndarray, variance: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return the cumulative distribution of Q at ``z [points]``; see :func:`density`."""
    share = uniform(len(mean)) if weights is None else weights
    found = np.zeros(len(z))
    for part in _blocks(len(mean), len(z)):
        deviation = np.sqrt(np.maximum(variance[part].astype(np.float64), SMALLEST))
        found += share[part] @ ndtr((z - mean[part, None]) / deviation[:, None])
    return found


def quantile(
    probability: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    weights: np.ndarray | None = None,
    tolerance: float = 1e-6,
) -> np.ndarray:
    """Return the ``z`` at which the cdf of Q has each ``probability [points]``, by bisection.

    The bracket is that of the components' own quantiles: a mixture's lies between them.
    """
    reach = 9 * np.sqrt(variance.max())
    low = np.full(len(probability), float(mean.min() - reach))
    high = np.full(len(probability), float(mean.max() + reach))
    while np.max(high - low) > tolerance:
        middle = (low + high) / 2
        below = cdf(middle, mean, variance, weights) < probability
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def _blocks(rows: int, points: int) -> list[slice]:
    step = max(1, 2_000_000 // max(points, 1))
    return [slice(i, i + step) for i in range(0, rows, step)]


def fixed_ratio_kl(variance: np.ndarray, ratio: np.ndarray | float) -> np.ndarray:
    """Return ``KL(N(mu, sigma^2) || N(0, 1))`` with ``rho = sigma/mu`` held fixed, nats (Asperti 2019).

    It is ``(sigma^2 (1 + rho^2)/rho^2 - log sigma^2 - 1)/2``, and smallest at
    ``sigma^2 = rho^2/(1 + rho^2)``, where ``sigma^2 + mu^2 = 1``.
    """
    square = np.square(ratio)
    return np.asarray((variance * (1 + square) / square - np.log(variance) - 1) / 2)


def scaling_rise(second_moment: np.ndarray, factor: float) -> np.ndarray:
    """Return the change of a latent's mean KL when mu and sigma are multiplied by ``factor``, nats.

    It is ``(S (c^2 - 1) - 2 log c)/2`` with ``S = E[mu^2 + sigma^2]``, and smallest at ``c^2 = 1/S``.
    """
    return np.asarray((second_moment * (factor**2 - 1) - 2 * math.log(factor)) / 2)
