"""Networks of an encoder and a linear output, trained on a few labelled images."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rungs.models.networks import collect_statistics
from rungs.study.settings import TrainingSettings
from rungs.training.objective_call import Unrecordable
from rungs.training.optimiser import Adam, FlatParameters

STEPS, BATCH = 300, 100
#: of the ``training`` section, what Adam reads
ADAM = cast(TrainingSettings, {"learning_rate": 1e-3, "adam_epsilon": 1e-8})


class FineTuning:
    """Trains networks of one architecture from several starts, all of it by a fixed number of Adam's steps.

    The output starts at 0. A step is recorded once and replayed in all trainings
    (:mod:`rungs.training.recorded_step`), which takes three fifths of the time and gives the same bits.

    Args:
        model: a model of this architecture, left as it is.
        code: returns the features ``[n, units]`` of a model and images.
        x: labelled images ``[n, pixels]``. Every training has as many.
        y: their labels ``[n]``, in which every class occurs.
    """

    def __init__(
        self, model: Any, code: Callable[[Any, Tensor], Tensor], x: Tensor, y: np.ndarray
    ) -> None:
        self.classes, wanted = np.unique(y, return_inverse=True)
        self.size = min(BATCH, len(x))
        self.network = _Supervised(model, code, len(self.classes)).train()
        example = x[: self.size], torch.from_numpy(wanted[: self.size])
        names = self.network.learnt(*example)
        learnt = [self.network.get_parameter(name) for name in names]
        self.flat = FlatParameters(nn.ParameterList(learnt))
        step = self.network.gradients(names)
        self._gradients = _in_place(step, [*learnt, *example], self.flat.gradient_views)

    def predict(
        self, start: Any, x: Tensor, y: np.ndarray, query: Tensor, random: torch.Generator
    ) -> np.ndarray:
        """Train on labelled images; return the labels that the network predicts for others.

        Args:
            start: a model with the first weights.
            x: images ``[n, pixels]`` with labels ``y [n]``.
            query: the others, ``[m, pixels]``.
            random: chooses the images of each step.
        """
        network, flat = self.network, self.flat
        network.restart(start)
        wanted = torch.from_numpy(np.searchsorted(self.classes, y))
        optimiser = Adam(flat.values, ADAM)
        for _ in range(STEPS):
            chosen = torch.randperm(len(x), generator=random)[: self.size]
            self._gradients([*flat.parameters, x[chosen], wanted[chosen]])
            optimiser.step(flat.gradients)
        # the weights have moved, or are new: batch norm's test statistics with them
        collect_statistics(network, [x], network.logits)
        with torch.no_grad():
            return np.asarray(self.classes[network.eval().logits(query).argmax(1).numpy()])


class _Supervised(nn.Module):
    """A copy of a model below a linear output; the call returns the loss of labelled images."""

    def __init__(self, model: Any, code: Callable[[Any, Tensor], Tensor], classes: int) -> None:
        super().__init__()
        self.model, self.code = copy.deepcopy(model), code
        self.output = nn.Linear(model.latent_sizes[0], classes)

    def restart(self, start: Any) -> None:
        """Take the weights of another model, and an output of 0."""
        self.train()
        self.model.load_state_dict(start.state_dict())
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def logits(self, x: Tensor) -> Tensor:
        """Map images ``[n, pixels]`` to ``[n, classes]``."""
        logits: Tensor = self.output(self.code(self.model, x))
        return logits

    def forward(self, x: Tensor, wanted: Tensor) -> Tensor:
        """Mean cross entropy, nats."""
        return functional.cross_entropy(self.logits(x), wanted)

    def learnt(self, x: Tensor, wanted: Tensor) -> list[str]:
        """Return the names of the parameters that the loss depends on."""
        names, parameters = zip(*self.named_parameters(), strict=True)
        found = torch.autograd.grad(self(x, wanted), parameters, allow_unused=True)
        return [name for name, g in zip(names, found, strict=True) if g is not None]

    def gradients(self, names: list[str]) -> Callable[[list[Tensor]], list[Tensor]]:
        """Return a function from parameters with these names, images and classes to the gradients."""

        def step(inputs: list[Tensor]) -> list[Tensor]:
            *values, x, wanted = inputs
            parameters = [value.detach().requires_grad_() for value in values]
            state = dict(zip(names, parameters, strict=True))
            loss = torch.func.functional_call(self, state, (x, wanted))
            return list(torch.autograd.grad(loss, parameters))

        return step


def _in_place(
    step: Callable[[list[Tensor]], list[Tensor]], inputs: list[Tensor], places: list[Tensor]
) -> Callable[[list[Tensor]], object]:
    """Return a function that puts the results of a step in their places, by its replay if it has one."""
    *parameters, x, wanted = inputs
    others = [*(0.01 + 1.1 * value.detach() for value in parameters), x.flip(0), wanted]
    try:
        from rungs.training.recorded_step import record

        return record(step, inputs, others, places)
    except (ImportError, Unrecordable):
        return lambda given: torch._foreach_copy_(places, step(given))
