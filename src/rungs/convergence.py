"""When a run counts as converged."""

from __future__ import annotations

import numpy as np

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


def converged(elbo: np.ndarray) -> bool:
    """Whether the training ELBO moved by at most 0.5 nats over the last tenth of the epochs."""
    return abs(movement(elbo)) <= MOVEMENT
