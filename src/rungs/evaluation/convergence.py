"""The convergence of a run: what its bound gained in the continuation.

Annealing the learning rate to 0 makes any training look finished, so no part of the schedule tells
whether it is. The continuation starts at a third of the rate and is annealed again: what the bound still
gains by it is what the schedule had left out.
"""

from __future__ import annotations

import math

from rungs.models import entry
from rungs.storage.result_file import Stored
from rungs.study.settings import settings_of
from rungs.training.schedules import continuation_epochs

#: what the bound of a converged run gains less than: nats, or bits a dimension for data of 256 values
NATS, BITS = 0.5, 0.001
#: epochs, at most, over which the bound is averaged at the ends of schedule and continuation
LAST = 3
#: histories of the bound or objective that a run trains, from the most specific on
CRITERIA = ("trained_bound", "elbo", "objective")
#: likelihoods, in the registry's words, whose data are bits or that are none: counted in nats
IN_NATS = ("bernoulli", "none")


def criterion(training: Stored) -> str:
    """Return the name of the history by which a training is judged: the bound that it trains, or the
    objective of a model without one."""
    return next(name for name in CRITERIA if name in training.arrays)


def gain(training: Stored) -> float | None:
    """Return how much the trained bound rose in the continuation, nats; None without one.

    The mean over the last epochs of the schedule is compared with that over the last of the continuation;
    where both are annealed the learning rate is near 0 there. The bound of an epoch has the noise of one
    draw and one binarisation an image, so up to :data:`LAST` epochs are averaged; more would reach back
    to where the bound was still rising.

    Args:
        training: the training file, with the arrays :data:`CRITERIA` that it has.
    """
    recipe = settings_of(training)["training"]
    continued, end = continuation_epochs(recipe), recipe["epochs"]
    if not continued:
        return None
    history = training[criterion(training)]
    count = min(LAST, continued, end)
    return float(history[-count:].mean() - history[end - count : end].mean())


def tolerance(training: Stored) -> float:
    """Return what the bound of a converged run gains less than, nats an image."""
    settings = settings_of(training)
    family = entry(settings["model"]).family
    if settings["network"].get("likelihood", family.likelihood) in IN_NATS:
        return NATS
    dimensions: int = training.attributes["pixels"]
    return BITS * math.log(2) * dimensions


def converged(training: Stored) -> bool | None:
    """Return whether a run gained less than :func:`tolerance` in its continuation; None without one.

    The prior that is learnt over the codes of a run does not enter: it has no continuation.
    """
    gained = gain(training)
    return None if gained is None else gained < tolerance(training)
