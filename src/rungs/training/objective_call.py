"""A model's objective as a function of its parameters, for recording a step and for many runs at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class ObjectiveCall(nn.Module):
    """A model's objective as the call of a module, which :func:`torch.func.functional_call` takes."""

    def __init__(self, model: Any, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.model, self.settings = model, settings

    def forward(
        self, x: Tensor, noise: list[Tensor], weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and the statistics of a batch."""
        objective = self.model.objective(x, noise, self.settings, weight)
        return objective.loss, objective.statistics


class Unrecordable(Exception):  # noqa: N818 - no error: the step is computed as it is written
    """A step cannot be recorded, for example because its operations depend on the numbers it is given."""
