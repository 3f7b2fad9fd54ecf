"""The mean of L_k over many images, few of which take all k samples.

Two-phase sampling with a difference estimator (Neyman 1938; Cochran 1977, ch. 12). Images differ by 20 nats
and more in L_k, but by some tenths of a nat in what L_k is above the last nested bound L_j, of a tenth to a
half of the samples. So all images take j samples, every r-th block of :data:`LIKELIHOOD_BLOCK` images takes
all k, and::

    mean L_k = mean of L_j over all images + mean of (L_k - L_j) over the images with k samples.

Where the blocks begin depends on the run's seed, so that the error is another one for every seed, and an
interval over seeds contains it. How many images are refined does not depend on what they are: the
differences are skewed, and a rule that goes on until their standard error is small stops where the large
ones have not been met (``docs/trust.md`` has its coverage).
"""

from __future__ import annotations

import math

import numpy as np

from rungs.numerics.seeds import LIKELIHOOD_BLOCK


def is_refined(block: int, every: int, seed: int) -> bool:
    """Return whether the images of a block take all samples.

    >>> [block for block in range(10) if is_refined(block, 4, seed=1)]
    [1, 5, 9]
    """
    return block % every == seed % every


def completed(fewer: np.ndarray, lk: np.ndarray) -> tuple[np.ndarray, float]:
    """Complete L_k where an image took fewer samples, by the mean difference of the others.

    Args:
        fewer: the last nested bound but one, of all images, in blocks, ``[n]``, nats.
        lk: L_k, ``[n]``, nats; NaN for the images with fewer samples.

    Returns:
        L_k, ``[n]``, whose mean is the estimate; and the standard error of that mean for these images, nats:
        that of blocks drawn without replacement.
    """
    refined = ~np.isnan(lk)
    difference = lk - fewer
    found = np.where(refined, lk, fewer + difference[refined].mean())
    blocks = np.arange(len(lk)) // LIKELIHOOD_BLOCK
    means = np.array([difference[blocks == block].mean() for block in np.unique(blocks[refined])])
    if len(means) < 2:
        return found, math.nan
    left = 1 - refined.mean()
    return found, float(means.std(ddof=1) / math.sqrt(len(means)) * math.sqrt(left))
