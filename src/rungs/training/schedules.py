"""The schedules of training: its length, the weight of the KL term and the learning rate.

After the ``epochs`` of its schedule a run trains on, in the *continuation*: by what its bound gains there
one sees whether it has converged, and by what a claim's statistic changes, its drift. Annealing the
learning rate to 0 makes any training look finished, so the continuation starts at
:data:`RESTART` of the rate and anneals it again. Adam's moments and the random numbers go on.
"""

from __future__ import annotations

import math

from rungs.study.settings import TrainingSettings

#: the learning rate at the start of the continuation, as a share of the schedule's
RESTART = 1 / 3


def continuation_epochs(recipe: TrainingSettings) -> int:
    """Return the number of epochs of a run's continuation; 0 where it has none.

    It is at least one, however short the schedule is.
    """
    share = recipe["continuation"]
    return max(1, round(share * recipe["epochs"])) if share > 0 else 0


def total_epochs(recipe: TrainingSettings) -> int:
    """Return the number of epochs of a run: of its schedule and of its continuation."""
    return recipe["epochs"] + continuation_epochs(recipe)


def continuation_recipe(recipe: TrainingSettings) -> TrainingSettings:
    """Return the recipe of a training that is as a run's continuation, which it must have."""
    return recipe | {
        "epochs": continuation_epochs(recipe),
        "continuation": 0.0,
        "learning_rate": RESTART * recipe["learning_rate"],
        "rise": 0.0,
        "stages": None,
        "annealing": 1.0,
        "warm_up": False,
    }


def epoch_kl_weight(recipe: TrainingSettings, epoch: int) -> float:
    """Return the weight of the KL term in an epoch of a run, counted from 0; 1 in the continuation."""
    if epoch >= recipe["epochs"]:
        return 1.0
    return kl_weight(epoch, recipe["warm_up"], recipe["warm_up_epochs"])


def step_rate(recipe: TrainingSettings, step: int, batches: int) -> float:
    """Return the learning rate of a step of a run, counted from 0.

    Args:
        batches: steps in an epoch.
    """
    steps, base = recipe["epochs"] * batches, recipe["learning_rate"]
    if step >= steps and recipe["continuation"]:
        return step_rate(continuation_recipe(recipe), step - steps, batches)
    if recipe["stages"] is not None:
        base *= stage_factor(step, steps, **recipe["stages"])
    return learning_rate(step, steps, base, recipe["annealing"], recipe["rise"])


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
