"""The mean of L_k over many images, few of which take all k samples.

Two-phase sampling with a difference estimator (Neyman 1938; Cochran 1977, ch. 12). Images differ by 20 nats
and more in L_k, but by some tenths of a nat in what L_k is above L_j, the last nested bound but one, j being
the largest power of ten below k that divides k. So every r-th block of :data:`LIKELIHOOD_BLOCK` images takes
all k samples, the others take j, and::

    mean L_k = mean of L_j over all images + mean of (L_k - L_j) over the images with k samples.

Seeds below r have blocks of their own, so that their errors are independent and an interval over seeds has
them. How many images are refined does not depend on what they are: the differences are skewed, and a rule
that goes on until their standard error is small stops where the large ones have not been met
(``docs/trust.md`` has its coverage).
"""

from __future__ import annotations

import math

import numpy as np

from rungs.numerics.seeds import LIKELIHOOD_BLOCK


def first_refined(every: int, seed: int) -> int:
    """Return the number of the first block whose images take all samples."""
    return seed % every


def is_refined(block: int, every: int, seed: int) -> bool:
    """Return whether the images of a block take all samples.

    >>> [block for block in range(10) if is_refined(block, 4, seed=1)]
    [1, 5, 9]
    """
    return block % every == first_refined(every, seed)


def refined_images(count: int, every: int, seed: int) -> np.ndarray:
    """Return which of the first ``count`` images take all samples, ``[count]``."""
    return np.array([is_refined(image // LIKELIHOOD_BLOCK, every, seed) for image in range(count)])


def completed(fewer: np.ndarray, lk: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, float]:
    """Complete L_k where an image took fewer samples, by the mean difference of the others.

    Args:
        fewer: L_j, of all images in their order, ``[n]``, nats.
        lk: L_k, ``[n]``, nats; NaN for the images with fewer samples.
        variance: that of L_j over samples, ``[n]``, nats squared; NaN likewise.

    Returns:
        L_k, ``[n]``, whose mean is the estimate; and the standard error of that mean, nats, beside the mean
        of L_k of these images: by the spread of the difference between blocks, which are drawn without
        replacement, and by the noise of L_j, which has fewer samples than L_k.

    Raises:
        ValueError: with fewer than two blocks of images with all samples.
    """
    refined = ~np.isnan(lk)
    blocks = np.arange(len(lk)) // LIKELIHOOD_BLOCK
    difference = lk - fewer
    means = np.array([difference[blocks == block].mean() for block in np.unique(blocks[refined])])
    if len(means) < 2:
        raise ValueError(f"{len(means)} blocks of images with all samples: two are the least.")
    found = np.where(refined, lk, fewer + difference[refined].mean())
    rest = float(1 - refined.mean())
    of_images = means.std(ddof=1) / math.sqrt(len(means)) * math.sqrt(rest)
    of_samples = math.sqrt(rest * variance[refined].mean() / len(lk))
    return found, math.hypot(of_images, of_samples)
