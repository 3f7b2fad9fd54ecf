"""The epochs of a run, or of several runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rungs.models import entry
from rungs.training.schedules import total_epochs
from rungs.training.side_by_side import Ensemble
from rungs.training.trainer import Trainer


def train_epochs(trainers: Sequence[Trainer], after_epoch: Callable[[], None]) -> None:
    """Train the epochs that are left of runs of one architecture, side by side if there are several.

    Those of the continuation are among them. On a GPU a single run is an ensemble of one where its
    model allows it: its step then is a CUDA graph.

    Args:
        trainers: of the same epoch.
        after_epoch: called after every epoch; it ends the training by raising.

    Raises:
        TrainingError: if a loss is not finite.
    """
    first = trainers[0]
    plain = first.device == "cpu" or not entry(first.settings["model"]).side_by_side
    loop = first if len(trainers) == 1 and plain else Ensemble(trainers)
    while loop.epoch < total_epochs(first.recipe):
        loop.run_epoch()
        after_epoch()
