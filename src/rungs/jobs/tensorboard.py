"""TensorBoard's event files of a run in training (``compute.tensorboard``), in its folder ``events``.

``tensorboard --logdir results/<profile>`` shows the runs of a profile, also while they are trained.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from rungs.errors import RungsError
from rungs.evaluation.definitions import ACTIVE_KL

if TYPE_CHECKING:
    from rungs.training.trainer import Trainer

FOLDER = "events"


def require_tensorboard() -> None:
    """Raise a RungsError unless the package is there."""
    if importlib.util.find_spec("tensorboard") is None:
        raise RungsError(
            "configuration key compute.tensorboard: the package tensorboard is not installed; install it "
            "with pip install -r envs/tensorboard.txt, or set the key to false."
        )


class Events:
    """The event files of one run.

    A run that begins removes those of an earlier one. A run that resumes appends to its own, and the
    epochs after its checkpoint no longer count; if it has none yet, its earlier epochs are taken from the
    history.
    """

    def __init__(self, trainer: Trainer, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._trainer = trainer
        events = folder / FOLDER
        if trainer.epoch == 0:
            shutil.rmtree(events, ignore_errors=True)
        missing = not events.exists()
        self._writer = SummaryWriter(str(events), purge_step=trainer.epoch + 1)
        if missing:
            for epoch in range(1, trainer.epoch + 1):
                self._write(epoch)

    def write_epoch(self) -> None:
        """Write what the latest epoch has added to the history, and the speed."""
        epoch = self._trainer.epoch
        self._write(epoch)
        self._scalar("speed/images_per_second", self._trainer.images_per_second(), epoch)

    def _write(self, epoch: int) -> None:
        sizes = self._trainer.latent_sizes
        for name, values in self._trainer.history.values.items():
            value = values[epoch - 1]
            if value.ndim == 0:
                self._scalar(f"training/{name}", float(value), epoch)
            elif name == "units/kl":
                self._scalar("kl/all", float(value.sum()), epoch)
                for layer, part in enumerate(value.split(sizes), 1):
                    self._scalar(f"kl/layer{layer}", float(part.sum()), epoch)
                    active = int((part > ACTIVE_KL).sum())
                    self._scalar(f"active_units/layer{layer}", active, epoch)
            elif name == "code_use":
                self._scalar("codes/used", int((value > 0).sum()), epoch)

    def _scalar(self, name: str, value: float, epoch: int) -> None:
        self._writer.add_scalar(name, value, epoch)

    def close(self) -> None:
        """Write out what is held back."""
        self._writer.close()
