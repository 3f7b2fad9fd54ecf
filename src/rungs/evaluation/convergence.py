"""The convergence of a run, by its training objective."""

from __future__ import annotations

import numpy as np

from rungs.evaluation.definitions import PRIOR_OBJECTIVE
from rungs.storage.result_file import Stored

MOVEMENT = 0.5


def movement(elbo: np.ndarray) -> float:
    """Return how far the training ELBO moved over the last tenth of the epochs, nats.

    This is the change of a least-squares line over those epochs: the ELBO of an epoch has the noise of
    its draws, a line through a tenth of the epochs much less.

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
    """The name of the array by which a training is judged: ``elbo``, or ``objective`` without one."""
    return "elbo" if "elbo" in training.arrays else "objective"


def converged(training: Stored, evaluation: Stored | None = None) -> bool:
    """Whether a run's training ELBO moved by at most 0.5 nats over the last tenth of the epochs.

    A model without an ELBO is judged by its objective. The objective of a prior that was learnt over the
    run's codes must not have moved further either.

    Args:
        training: the run's training file.
        evaluation: its evaluation, which has the prior's objective if there is one.
    """
    histories = [training[criterion(training)]]
    if evaluation is not None and PRIOR_OBJECTIVE in evaluation.arrays:
        histories.append(evaluation[PRIOR_OBJECTIVE])
    return all(abs(movement(history)) <= MOVEMENT for history in histories)
