"""The numbers of samples of nested bounds. No torch: costs are estimated by them."""

from __future__ import annotations


def nested_ks(samples: int) -> list[int]:
    """Return 1, 10, 100, ... as far as they divide the number of samples, and that number.

    >>> nested_ks(5000)
    [1, 10, 100, 1000, 5000]
    """
    ks = []
    k = 1
    while k < samples and samples % k == 0:
        ks.append(k)
        k *= 10
    return [*ks, samples]
