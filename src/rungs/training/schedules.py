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


def stage_factor(step: int, steps: int, number: int, growth: float, decay: float) -> float:
    """Return by what the learning rate is multiplied in the stage of a step (counted from 0) of ``steps``.

    The steps are divided into ``number`` stages, each ``growth`` times as long as the one before; the
    factor falls geometrically from 1 in the first stage to ``decay`` in the last (Burda et al. 2016).

    >>> [round(stage_factor(s, 7, 3, 2, 0.01), 3) for s in range(7)]
    [1.0, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01]
    """
    lengths = [growth**i for i in range(number)]
    done = 0.0
    for i, length in enumerate(lengths[:-1]):
        done += length
        if step * sum(lengths) < done * steps:
            return float(decay ** (i / (number - 1)))
    return decay if number > 1 else 1.0
