"""The training of one run: steps and epochs.

The trainer knows a model by its protocol (:class:`rungs.models.protocol.Trainable`) and a run by its
resolved settings. Statistics, checkpoints and interruption all come between epochs: the state at the end
of an epoch (parameters, Adam's moments, the random generator, the history) is all that the rest of the
run depends on, so an interrupted run ends bit for bit where an uninterrupted one ends.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rungs.data.binarise import TrainingImages, model_input
from rungs.errors import StoreError, TrainingError
from rungs.models.arithmetic import arithmetic, set_arithmetic
from rungs.models.build_model import build_model
from rungs.models.networks import collect_statistics
from rungs.models.objectives import epoch_statistics
from rungs.numerics.seeds import generator
from rungs.storage.tensors import load_weights
from rungs.study.settings import RunSettings
from rungs.training.history import History
from rungs.training.objective_call import Unrecordable
from rungs.training.optimiser import Adam, FlatParameters, clip_gradients
from rungs.training.schedules import (
    continuation_epochs,
    epoch_kl_weight,
    step_rate,
    total_epochs,
)

if TYPE_CHECKING:
    from rungs.training.recorded_step import Recording

#: the objective with which batch norm statistics are collected
ONE_DRAW = {"monte_carlo_samples": 1, "importance_samples": 1}
#: recording a step takes as long as some 100 steps save
RECORDED_FROM = 100


class Trainer:
    """One run in training.

    Args:
        settings: the run's resolved settings (:func:`rungs.study.settings.resolve`).
        images: the training images, uint8 ``[n, pixels]``.
        device: where to compute.
        start: weights of the run that this one continues; without it they are drawn.

    Attributes:
        recordable: whether a step may be recorded and replayed (:mod:`rungs.training.recorded_step`);
            on a GPU a step is a CUDA graph instead.
        scheduled: the weights at the end of the schedule, a state dict with the batch norm statistics for
            testing; empty until then, and without a continuation.
        unrecorded: the reason why steps are computed as they are written, where one was found.
    """

    def __init__(
        self, settings: RunSettings, images: Tensor, device: str, start: Path | None = None
    ) -> None:
        self.settings, self.recipe = settings, settings["training"]
        self.device = device
        self.model = build_model(settings, images.shape[1], device)
        self.images = images.to(device)
        self.inputs = TrainingImages(self.images, self.model.binary)
        self.arithmetic = arithmetic(settings)
        set_arithmetic(self.model, self.arithmetic)
        if start is not None:
            load_weights(self.model, start, getattr(self.model, "may_start", ()))
        elif callable(start_at := getattr(self.model, "start_at", None)):
            start_at(self.images)
        self.parameters = FlatParameters(self.model)
        self.optimiser = Adam(self.parameters.values, self.recipe)
        self.generator = generator(settings["seed"], "training", device)
        self.batch_size = min(self.recipe["batch_size"], len(images))
        #: the remainder of an epoch is left out; the next epoch shuffles anew
        self.batches = len(images) // self.batch_size
        self.history = History()
        self.scheduled: dict[str, Tensor] = {}
        self.seconds = 0.0
        self.recordable = device == "cpu"
        self.unrecorded: str | None = None
        self._recording: Recording | None = None

    @property
    def epoch(self) -> int:
        """The number of epochs done."""
        return len(self.history)

    @property
    def latent_sizes(self) -> list[int]:
        """The units of each stochastic layer; empty for a model without such layers."""
        return list(getattr(self.model, "latent_sizes", []))

    def run_epoch(self) -> None:
        """Train one epoch and append its statistics to the history.

        Raises:
            TrainingError: if the loss is not finite.
        """
        started = time.perf_counter()
        recipe = self.recipe
        self.model.train()
        weight = self.begin_epoch()
        kl_weight = torch.tensor(weight, device=self.device)
        sums: dict[str, Tensor] = {}
        for i in range(self.batches):
            self.optimiser.rate = rate = self.rate(i)
            x, noise = self.batch(i)
            statistics = self.differentiate(x, noise, kl_weight)
            clip_gradients(
                self.parameters.gradients,
                recipe["max_gradient_norm"],
                recipe["max_gradient_element"],
            )
            self.optimiser.step(self.parameters.gradients)
            for name, value in statistics.items():
                if name not in sums:
                    sums[name] = torch.zeros_like(value, dtype=torch.float64)
                sums[name].add_(value)
        self.end_epoch(sums, weight, rate)
        self.seconds += time.perf_counter() - started

    def differentiate(self, x: Tensor, noise: list[Tensor], weight: Tensor) -> dict[str, Tensor]:
        """Compute the gradients of a batch's loss in their places; return its statistics."""
        if self._recording is None and self.recordable and self.steps_left >= RECORDED_FROM:
            self._record(x, noise, weight)
        if self._recording is not None:
            return self._recording(x, noise, weight)
        objective = self.model.objective(x, noise, self.recipe, weight)
        self.parameters.take_gradients(objective.loss)
        return objective.statistics

    def _record(self, x: Tensor, noise: list[Tensor], weight: Tensor) -> None:
        """Record the step, or note why this run computes every step as it is written."""
        try:
            # imported only here: a torch that lacks what recording needs trains without it
            from rungs.training.recorded_step import Recording

            places = self.parameters.gradient_views
            self._recording = Recording(self.model, self.recipe, places, x, noise, weight)
        except (ImportError, Unrecordable) as reason:
            self.recordable, self.unrecorded = False, str(reason)

    @property
    def steps_left(self) -> int:
        """The number of steps in the epochs that are left."""
        return (total_epochs(self.recipe) - self.epoch) * self.batches

    def begin_epoch(self) -> float:
        """Binarise and shuffle anew; return the epoch's KL weight."""
        self.inputs.begin_epoch(self.generator)
        self._order = torch.randperm(
            len(self.images), generator=self.generator, device=self.device
        ).split(self.batch_size)
        return epoch_kl_weight(self.recipe, self.epoch)

    def rate(self, i: int) -> float:
        """The learning rate of the epoch's i-th batch."""
        return step_rate(self.recipe, self.epoch * self.batches + i, self.batches)

    def batch(self, i: int) -> tuple[Tensor, list[Tensor]]:
        """The epoch's i-th batch ``[batch, pixels]`` and all the noise that it needs."""
        x = self.inputs.batch(self._order[i])
        return x, self.model.training_noise(len(x), self.recipe, self.generator)

    def end_epoch(self, sums: dict[str, Tensor], weight: float, rate: float) -> None:
        """Append the epoch's statistics, given as sums over its batches, to the history.

        At the end of the schedule the weights are kept, if a continuation follows.

        Raises:
            TrainingError: if the loss is not finite.
        """
        means = {name: value.cpu() / self.batches for name, value in sums.items()}
        schedule = {"kl_weight": weight, "learning_rate": rate}
        means |= {n: torch.tensor(v, dtype=torch.float64) for n, v in schedule.items()}
        self.history.append(epoch_statistics(means))
        if not math.isfinite(self.history.criterion):
            raise TrainingError(
                f"run {self.settings['run']}: the loss is not finite in epoch {self.epoch}. Lower "
                "training.learning_rate or training.max_gradient_norm for this variant and run it again."
            )
        if self.epoch == self.recipe["epochs"] and continuation_epochs(self.recipe):
            self._keep_weights()

    def _keep_weights(self) -> None:
        """Keep the weights as they would be if the training ended here.

        That collects batch norm statistics; afterwards the buffers are put back, so that the training
        goes on as if nothing had been kept.
        """
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        self.finish()
        self.scheduled = {n: t.detach().clone() for n, t in self.model.state_dict().items()}
        for name, buffer in self.model.named_buffers():
            buffer.copy_(buffers[name])

    def finish(self) -> None:
        """Collect the batch norm statistics of the whole training set, for testing.

        Its batches are drawn as in training: in the order of storage they might be of one class each.
        """
        model, source = self.model, generator(self.settings["seed"], "statistics", self.device)

        def forward(x: Tensor) -> None:
            noise = model.training_noise(len(x), ONE_DRAW, source)
            model.objective(x, noise, ONE_DRAW, 1.0)

        order = torch.randperm(len(self.images), generator=source, device=self.device)
        drawn = order.split(self.batch_size)[: self.batches]
        inputs = (model_input(self.images[rows], source, model.binary) for rows in drawn)
        collect_statistics(model, inputs, forward)
        model.eval()

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """The state that the rest of the run depends on: tensors, and metadata."""
        tensors = {
            "parameters": self.parameters.values,
            "generator": self.generator.get_state(),
            **{f"adam/{name}": tensor for name, tensor in self.optimiser.state.items()},
            **{f"buffer/{name}": tensor for name, tensor in self.model.named_buffers()},
            **{f"history/{name}": tensor for name, tensor in self.history.tensors().items()},
            **{f"scheduled/{name}": tensor for name, tensor in self.scheduled.items()},
        }
        return tensors, {"seconds": repr(self.seconds)}

    def restore(self, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        """Continue from a :meth:`state` of the same run.

        Raises:
            StoreError: if it is incomplete, or of another shape.
        """
        # everything is checked before anything is taken over: copy_ would broadcast and convert
        own = {"parameters": self.parameters.values}
        own |= {f"adam/{name}": tensor for name, tensor in self.optimiser.state.items()}
        own |= {f"buffer/{name}": buffer for name, buffer in self.model.named_buffers()}
        history = _below("history/", tensors)
        lengths = {len(t) if t.dim() else 0 for t in history.values()}
        if len(lengths) != 1 or not 1 <= max(lengths) <= total_epochs(self.recipe):
            raise StoreError("the checkpoint is incomplete (its history is not of these epochs)")
        like = own | {"generator": self.generator.get_state()}
        if max(lengths) >= self.recipe["epochs"] and continuation_epochs(self.recipe):
            like |= {f"scheduled/{name}": t for name, t in self.model.state_dict().items()}
        for name, expected in like.items():
            given = tensors.get(name)
            if given is None or given.shape != expected.shape or given.dtype != expected.dtype:
                raise StoreError(
                    f"the checkpoint is incomplete ({name!r} is missing or of another shape)"
                )
        for name in like:
            found = tensors[name]
            if found.is_floating_point() and not bool(torch.isfinite(found).all()):
                raise StoreError(f"the checkpoint has values that are not finite ({name!r})")
        try:
            self.seconds = float(metadata["seconds"])
            self.generator.set_state(tensors["generator"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise StoreError(f"the checkpoint is incomplete ({error})") from error
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
        self.history = History.of(history)
        self.scheduled = _below("scheduled/", {name: tensors[name] for name in like})

    def images_per_second(self) -> float:
        """The training throughput of the run so far."""
        return self.epoch * self.batches * self.batch_size / max(self.seconds, 1e-9)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, by the rest of their names."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
