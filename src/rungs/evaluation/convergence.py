"""When a run counts as converged."""

from __future__ import annotations

import numpy as np

from rungs.evaluation.definitions import PRIOR_OBJECTIVE
from rungs.storage.result_file import Stored

MOVEMENT = 0.5


def movement(elbo: np.ndarray) -> float:
    """The movement of the training ELBO over the last tenth of the epochs, nats.

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


def criterion(training: Stored) -> str:
    """The array by which a training is judged: ``elbo``, or the ``objective`` of a model without."""
    return "elbo" if "elbo" in training.arrays else "objective"


def converged(training: Stored, evaluation: Stored | None = None) -> bool:
    """Whether a run's training ELBO (the objective of a model that has none) moved by at most 0.5
    nats over the last tenth of the epochs; and so the objective of a prior that was learnt after it.

    Args:
        training: its training file.
        evaluation: its evaluation, which has the prior's objective if there is one.
    """
    histories = [training[criterion(training)]]
    if evaluation is not None and PRIOR_OBJECTIVE in evaluation.arrays:
        histories.append(evaluation[PRIOR_OBJECTIVE])
    return all(abs(movement(history)) <= MOVEMENT for history in histories)
