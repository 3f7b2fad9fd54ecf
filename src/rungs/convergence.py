"""When a run counts as converged."""

from __future__ import annotations

import numpy as np

from rungs.store import Stored

MOVEMENT = 0.5


def movement(elbo: np.ndarray) -> float:
    """How far the training ELBO moved over the last tenth of the epochs, nats.

    The change of a least-squares line over those epochs: an epoch's ELBO has the noise of its
    draws, a line through a tenth of them much less.

    Args:
        elbo: training ELBO (KL weight 1) of every epoch. With fewer than 20 epochs the last
            tenth has no slope, and the result is infinite.
    """
    last = len(elbo) // 10
    if last < 2:
        return float("inf")
    slope = np.polyfit(np.arange(last), elbo[-last:], 1)[0]
    return float(slope * last)


def converged(training: Stored) -> bool:
    """Whether a run's training ELBO (the objective of a model that has none) moved by at most 0.5
    nats over the last tenth of the epochs.

    Args:
        training: its training file.
    """
    name = "elbo" if "elbo" in training.arrays else "objective"
    return abs(movement(training[name])) <= MOVEMENT
