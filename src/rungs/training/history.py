"""The history of a training: its statistics, epoch by epoch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

#: epochs that a history has room for at first
FIRST_ROOM = 64


class History:
    """The statistics of every epoch, by name: those of :class:`rungs.models.protocol.Objective`, besides
    ``kl_weight`` and ``learning_rate``.

    Each lies in one tensor with room for more. Small tensors, one an epoch, would lie between the large
    ones that come and go, and malloc could not use the gaps again: 0.1 MiB an epoch.

    Attributes:
        values: float64 ``[room, ...]``, of which the first ``len(history)`` rows are filled.
    """

    def __init__(self) -> None:
        self.values: dict[str, Tensor] = {}
        self._epochs = 0

    def __len__(self) -> int:
        return self._epochs

    def append(self, epoch: dict[str, Tensor]) -> None:
        """Add an epoch's float64 scalars and vectors."""
        for name, value in epoch.items():
            room = self.values.get(name, value.new_empty(0, *value.shape))
            if len(room) == self._epochs:
                room = torch.cat([room, value.new_empty(max(FIRST_ROOM, len(room)), *value.shape)])
            room[self._epochs] = value
            self.values[name] = room
        self._epochs += 1

    def last(self, name: str) -> Tensor | None:
        """The latest value of a statistic, None if the model does not have it."""
        return self.values[name][self._epochs - 1] if name in self.values else None

    @property
    def criterion(self) -> float:
        """The latest value of the ELBO or, for a model without, of the objective."""
        return float(self.values["elbo" if "elbo" in self.values else "objective"][len(self) - 1])

    def tensors(self) -> dict[str, Tensor]:
        """Everything as float64 tensors ``[epochs, ...]``, for a checkpoint."""
        return {name: room[: self._epochs] for name, room in self.values.items()}

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> History:
        """The inverse of :meth:`tensors`."""
        history = cls()
        history.values = {name: values.clone() for name, values in tensors.items()}
        history._epochs = len(next(iter(tensors.values()), []))
        return history

    def arrays(self, latent_sizes: list[int]) -> dict[str, np.ndarray]:
        """The arrays of the training file, in which units are split into layers."""
        arrays: dict[str, np.ndarray] = {}
        for name, values in self.tensors().items():
            if name.startswith("units/"):
                short = name.removeprefix("units/")
                parts = values.split(latent_sizes, -1)
                arrays |= {f"layers/{i}/{short}": part.numpy() for i, part in enumerate(parts, 1)}
            else:
                arrays[name] = values.numpy()
        return arrays
