"""Training of several runs of one architecture side by side, as one batched computation.

The members (seeds of a variant, or variants that differ in their schedule alone) keep their own random
numbers, weights and histories, and end as they would alone, up to rounding. On a GPU, which one such
model cannot fill, the whole step is captured once as a CUDA graph and replayed; on a CPU only the
start-up of processes is saved.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rungs.models import entry
from rungs.models.networks import Dense
from rungs.study.settings import RunSettings
from rungs.training.objective_call import ObjectiveCall
from rungs.training.optimiser import MOMENTS, Adam, clip_gradients, put_gradients
from rungs.training.trainer import Trainer


def ensemble_key(settings: RunSettings) -> str:
    """A key that is equal for runs that can be trained side by side.

    Everything must agree but the seed, the names, and the warm-up of the KL term, whose weight is a
    number a member.
    """
    shared: dict[str, object] = {
        name: settings[name] for name in ("dataset", "model", "network", "precision", "device")
    }
    if not entry(settings["model"]).side_by_side:
        shared["run"] = settings["run"]
    shared["training"] = {
        name: value
        for name, value in settings["training"].items()
        if not name.startswith("warm_up")
    }
    return json.dumps(shared, sort_keys=True)


class Ensemble:
    """Trainers of the same architecture, data and epoch, in one batched computation.

    Args:
        members: trainers, new or restored from checkpoints of the same epoch; their parameters and
            optimiser states become rows of this ensemble's.
    """

    def __init__(self, members: Sequence[Trainer]) -> None:
        first = members[0]
        if len({(ensemble_key(m.settings), m.epoch, m.batches) for m in members}) != 1:
            raise ValueError("the members of an ensemble share architecture, recipe and epoch")
        self.members = list(members)
        self.recipe, self.device = first.recipe, first.device
        self._model = ObjectiveCall(copy.deepcopy(first.model), self.recipe)
        for module in self._model.modules():
            if isinstance(module, Dense):
                module.inner = False  # vmap takes batch norm's moments in the type of its input
        self.values = torch.stack([m.parameters.values for m in members])
        self.gradients = torch.zeros_like(self.values)
        self.optimiser = Adam(self.values, self.recipe, captured=self._on_gpu)
        self._adopt_moments()
        self._parameters, self._gradient_views = self._stacked_views()
        self.weight = torch.ones(len(members), device=self.device)
        self.x = torch.empty(0, device=self.device)
        self.noise: list[Tensor] = []
        self.sums: dict[str, Tensor] = {}
        self._replay: Callable[[], object] | None = None

    @property
    def _on_gpu(self) -> bool:
        return torch.device(self.device).type == "cuda"

    def _adopt_moments(self) -> None:
        """One optimiser state from the members', whose own become views of it."""
        state = self.optimiser.state
        state["step"].copy_(self.members[0].optimiser.state["step"])
        for row, member in enumerate(self.members):
            member.parameters.move(self.values[row], self.gradients[row])
            own = {"step": state["step"]} | {name: state[name][row] for name in MOMENTS}
            for name in MOMENTS:
                own[name].copy_(member.optimiser.state[name])
            member.optimiser.values, member.optimiser.state = self.values[row], own

    def _stacked_views(self) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Every parameter of all members ``[members, ...]``, and the same of the gradients."""
        flat = self.members[0].parameters
        names = [name for name, _ in self.members[0].model.named_parameters()]
        parameters, gradients = {}, []
        for name, part, shape in zip(names, flat.parts, flat.shapes, strict=True):
            view = self.values[:, part].view(-1, *shape)
            parameters[f"model.{name}"] = view.requires_grad_()
            gradients.append(self.gradients[:, part].view(-1, *shape))
        return parameters, gradients

    @property
    def epoch(self) -> int:
        """The number of epochs done."""
        return self.members[0].epoch

    def run_epoch(self) -> None:
        """Train every member one epoch.

        Raises:
            TrainingError: if a member's loss is not finite.
        """
        started = time.perf_counter()
        first = self.members[0]
        self._model.train()
        for total in self.sums.values():
            total.zero_()
        weights = [member.begin_epoch() for member in self.members]
        self.weight.copy_(torch.tensor(weights))
        rate = 0.0
        for i in range(first.batches):
            rate = first.rate(i)
            self._load([member.batch(i) for member in self.members], rate)
            self._step()
        for row, member in enumerate(self.members):
            sums = {name: total[row] for name, total in self.sums.items()}
            member.end_epoch(sums, weights[row], rate)
        share = (time.perf_counter() - started) / len(self.members)
        for member in self.members:
            member.seconds += share

    def _load(self, batches: list[tuple[Tensor, list[Tensor]]], rate: float) -> None:
        """Put a step's inputs where the step, which may be a captured graph, reads them."""
        if isinstance(self.optimiser.rate, Tensor):
            self.optimiser.rate.fill_(rate)
        else:
            self.optimiser.rate = rate
        if not self.noise and not len(self.x):
            self.x = torch.stack([x for x, _ in batches])
            self.noise = [torch.stack(n) for n in zip(*(n for _, n in batches), strict=True)]
            return
        torch.stack([x for x, _ in batches], out=self.x)
        for target, parts in zip(
            self.noise, zip(*(n for _, n in batches), strict=True), strict=True
        ):
            torch.stack(parts, out=target)

    def _step(self) -> None:
        if not self._on_gpu:
            self._compute()
        elif self._replay is None:
            state = self.optimiser.state.values()
            self._replay = _capture(self._compute, [self.values, self.gradients, *state])
            for total in self.sums.values():
                total.zero_()  # the warm-up of the capture has added to them
            self._replay()
        else:
            self._replay()

    def _compute(self) -> None:
        """Objective, gradients, clipping and update of all members, from the loaded inputs."""

        def one(
            parameters: dict[str, Tensor], x: Tensor, noise: list[Tensor], weight: Tensor
        ) -> tuple[Tensor, dict[str, Tensor]]:
            found: tuple[Tensor, dict[str, Tensor]] = torch.func.functional_call(
                self._model, parameters, (x, noise, weight)
            )
            return found

        losses, statistics = torch.vmap(one)(self._parameters, self.x, self.noise, self.weight)
        # members share nothing: the gradient of the sum is every member's own
        put_gradients(self._gradient_views, losses.sum(), [*self._parameters.values()])
        recipe = self.recipe
        clip_gradients(self.gradients, recipe["max_gradient_norm"], recipe["max_gradient_element"])
        self.optimiser.step(self.gradients)
        for name, value in statistics.items():
            if name not in self.sums:
                self.sums[name] = torch.zeros_like(value, dtype=torch.float64)
            self.sums[name].add_(value.detach())


def _capture(compute: Callable[[], None], changed: list[Tensor]) -> Callable[[], object]:
    """``compute`` as a CUDA graph. What its warm-up runs change is put back.

    Not run on any GPU yet: written from torch's documentation, tested on a CPU up to here.
    """
    before = [tensor.detach().clone() for tensor in changed]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            compute()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        compute()
    with torch.no_grad():
        for tensor, old in zip(changed, before, strict=True):
            tensor.copy_(old)
    return graph.replay
