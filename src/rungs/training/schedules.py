"""The schedules of training: the weight of the KL term and the learning rate."""

from __future__ import annotations

import math


def kl_weight(epoch: int, warm_up: bool, warm_up_epochs: int) -> float:
    """The weight of the KL term in an epoch (counted from 0).

    Linear from 0 in the first epoch to 1 after ``warm_up_epochs``, then 1.

    >>> [kl_weight(e, True, 4) for e in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    return min(1.0, epoch / warm_up_epochs) if warm_up else 1.0


def learning_rate(step: int, steps: int, base: float, annealing: float, rise: float = 0.0) -> float:
    """Return the learning rate of a step (counted from 0) of ``steps``.

    It rises linearly over the share ``rise`` of the steps, is constant, and falls to 0 along half a cosine
    over the last share ``annealing``. Where the two overlap it is their product.

    >>> [round(learning_rate(s, 4, 1.0, 0.5), 3) for s in range(5)]
    [1.0, 1.0, 1.0, 0.5, 0.0]
    >>> [learning_rate(s, 8, 1.0, 0.0, 0.5) for s in range(6)]
    [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
    """
    rising, falling = rise * steps, annealing * steps
    if step < rising:
        # a rate of 0 would waste the first step
        base *= (step + 1) / (rising + 1)
    if step <= steps - falling:
        return base
    return base * 0.5 * (1 + math.cos(math.pi * (1 - (steps - step) / falling)))
