"""Which images are shown, or measured where not all are: drawn by a fixed seed, as the order in which a data
set is stored may not be random. Nothing here needs torch: figures draw by it too."""

from __future__ import annotations

import numpy as np

from rungs.numerics.seeds import TEST_SET_SEED, derive_seed


def drawn(count: int, available: int) -> np.ndarray:
    """Return the indices of ``count`` different images, in random order, the same for every run; of all if
    there are not more. A smaller count gives the first of them.

    >>> sorted(drawn(5, 3).tolist())
    [0, 1, 2]
    """
    random = np.random.default_rng(derive_seed(TEST_SET_SEED, "shown"))
    return random.permutation(available)[:count]


def partners(count: int) -> np.ndarray:
    """Return for each of ``count`` images the index of another, drawn at random: neighbours in the order
    of storage may be of one class. A single image has itself.

    >>> bool((partners(50) == np.arange(50)).any())
    False
    """
    order, found = drawn(count, count), np.empty(count, dtype=int)
    found[order] = np.roll(order, 1)
    return found
