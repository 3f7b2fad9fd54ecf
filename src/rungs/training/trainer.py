"""The training loop: knows a model by its protocol and a run by its resolved settings.

An epoch is the unit of everything: statistics, checkpoints, interruption. The state at its end
(parameters, Adam's moments, the random generator, the history) is all that the rest depends
on, so an interrupted run ends bit for bit where an uninterrupted one ends.
"""

from __future__ import annotations

import json
import math
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rungs.data.binarise import TrainingImages, model_input
from rungs.data.prepared import read_images
from rungs.errors import RungsError, StoreError, TrainingError
from rungs.evaluation.definitions import ACTIVE_KL
from rungs.jobs.reporting import Reporter, duration
from rungs.models import build, entry
from rungs.models.networks import collect_statistics, initialise
from rungs.models.objectives import epoch_statistics, kl_weight, learning_rate
from rungs.models.precision import arithmetic, set_arithmetic
from rungs.numerics.seeds import generator
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.storage.atomic import sha256
from rungs.storage.beacon import has_beacon, remove_beacon
from rungs.storage.cost_file import write_cost
from rungs.storage.locks import locked
from rungs.storage.tensors import load_tensors, load_weights, save_tensors
from rungs.study import keys, provenance
from rungs.training.recorded_step import Recording, Unrecordable

Spec = dict[str, Any]
ADAM_BETAS = (0.9, 0.999)
#: what Adam keeps of every parameter, as torch calls it
MOMENTS = ("exp_avg", "exp_avg_sq")
COST_FILE = "training-cost.json"
#: the objective with which batch norm statistics are collected
ONE_DRAW = {"monte_carlo_samples": 1, "importance_samples": 1}
#: to record a step takes as long as some 100 steps save
RECORDED_FROM = 100
#: parameters start at multiples of a cache line, so that matrix products see aligned memory
ALIGNMENT = 16


class Interrupted(Exception):  # noqa: N818 - not an error: the run continues later
    """The run was asked to stop and has saved itself."""


class FlatParameters:
    """All parameters of a module as views of one vector, their gradients of another.

    Clipping and the optimiser then are a handful of operations instead of a handful for each
    of some fifty tensors.
    """

    def __init__(self, module: nn.Module) -> None:
        self.parameters = list(module.parameters())
        self.shapes = [parameter.shape for parameter in self.parameters]
        self.parts = []
        end = 0
        for parameter in self.parameters:
            self.parts.append(slice(end, end + parameter.numel()))
            end += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
        values = torch.zeros(end, device=self.parameters[0].device)
        for parameter, part in zip(self.parameters, self.parts, strict=True):
            values[part] = parameter.data.reshape(-1)
        self.move(values, torch.zeros_like(values))

    def move(self, values: Tensor, gradients: Tensor) -> None:
        """Let parameters and gradients live in these vectors, which have their values."""
        self.values, self.gradients = values, gradients
        self.gradient_views = []
        for parameter, part in zip(self.parameters, self.parts, strict=True):
            parameter.data = values[part].view_as(parameter)
            self.gradient_views.append(gradients[part].view_as(parameter))

    def take_gradients(self, loss: Tensor) -> None:
        """The gradients of ``loss``, zero for a parameter that it does not depend on."""
        found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        for view, gradient in zip(self.gradient_views, found, strict=True):
            if gradient is None:
                view.zero_()
            else:
                view.copy_(gradient)


def clip_gradients(gradients: Tensor, norm: float, element: float) -> None:
    """Constrain the gradient's norm, then its elements, as the ladder's release does.

    Args:
        gradients: ``[..., parameters]``, each vector by itself, in its place.
    """
    length = torch.linalg.vector_norm(gradients, dim=-1, keepdim=True)
    gradients.mul_((norm / (length + 1e-7)).clamp_max_(1.0)).clamp_(-element, element)


class Adam:
    """Adam (Kingma and Ba 2015) of a vector of parameters, or of rows of such, by torch's fused kernel.

    :class:`torch.optim.Adam` takes the same steps, but imports torch's compiler, two seconds of every
    process, and looks for a tenth of a millisecond each time at what it is given.

    Args:
        values: the parameters, which :meth:`step` changes.
        settings: the configuration's ``training`` section.
        captured: for use in a CUDA graph, which reads the learning rate from a tensor.

    Attributes:
        rate: the learning rate of the next step.
        state: ``step``, the number of steps, and the :data:`MOMENTS`.
    """

    def __init__(self, values: Tensor, settings: dict[str, Any], captured: bool = False) -> None:
        self.values = values
        self.epsilon = settings["adam_epsilon"]
        rate = settings["learning_rate"]
        self.rate: float | Tensor = torch.tensor(rate, device=values.device) if captured else rate
        step = torch.zeros((), dtype=torch.float32, device=values.device)
        moments = {name: torch.zeros_like(values) for name in MOMENTS}
        self.state = {"step": step, **moments}

    @torch.no_grad()
    def step(self, gradients: Tensor) -> None:
        """Change the values by their gradients."""
        beta1, beta2 = ADAM_BETAS
        first, second = (self.state[name] for name in MOMENTS)
        self.state["step"].add_(1)
        torch._fused_adam_(
            [self.values],
            [gradients],
            [first],
            [second],
            [],
            [self.state["step"]],
            lr=self.rate,
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=self.epsilon,
            amsgrad=False,
            maximize=False,
        )


#: epochs that a history has room for at first
FIRST_ROOM = 64


class History:
    """Statistics of every epoch, by name: what :class:`rungs.models.protocol.Objective` says,
    ``kl_weight`` and ``learning_rate``.

    Each lies in one tensor with room for more. Small tensors, one an epoch, would lie between the large
    ones that come and go, and malloc could not use the gaps again: 0.1 MiB an epoch.

    Attributes:
        values: float64 ``[room, ...]``; those of the first ``len(history)`` epochs are there.
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
        """The latest value of what convergence is judged by."""
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
        """The arrays of the training file, units split into layers."""
        arrays: dict[str, np.ndarray] = {}
        for name, values in self.tensors().items():
            if name.startswith("units/"):
                short = name.removeprefix("units/")
                parts = values.split(latent_sizes, -1)
                arrays |= {f"layers/{i}/{short}": part.numpy() for i, part in enumerate(parts, 1)}
            else:
                arrays[name] = values.numpy()
        return arrays


class Trainer:
    """One run in training.

    Args:
        spec: the run's resolved settings (:func:`rungs.study.settings.resolve`).
        images: the training images, uint8 ``[n, pixels]``.
        device: where to compute.
        start: weights of the run that this one continues; without it they are drawn.
        key: the run's :func:`run_key`, which its checkpoints carry.
    """

    def __init__(
        self,
        spec: Spec,
        images: Tensor,
        device: str,
        start: Path | None = None,
        key: str = "",
    ) -> None:
        self.spec, self.settings, self.key = spec, spec["training"], key
        self.device = device
        self.model = build_model(spec, images.shape[1], device)
        self.images = images.to(device)
        self.inputs = TrainingImages(self.images, self.model.binary)
        self.arithmetic = arithmetic(spec)
        set_arithmetic(self.model, self.arithmetic)
        if start is not None:
            load_weights(self.model, start)
        self.parameters = FlatParameters(self.model)
        self.optimiser = Adam(self.parameters.values, self.settings)
        self.generator = generator(spec["seed"], "training", device)
        self.batch_size = min(self.settings["batch_size"], len(images))
        #: the remainder of an epoch is left out; the next epoch shuffles anew
        self.batches = len(images) // self.batch_size
        self.history = History()
        self.seconds = 0.0
        #: whether a step may be recorded and replayed (see rungs.training.recorded_step); on a
        #: GPU it is a CUDA graph
        self.recordable = device == "cpu"
        self._recording: Recording | None = None

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    def run_epoch(self) -> None:
        """Train one epoch and append its statistics to the history.

        Raises:
            TrainingError: if the loss is not finite.
        """
        started = time.perf_counter()
        settings = self.settings
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
                settings["max_gradient_norm"],
                settings["max_gradient_element"],
            )
            self.optimiser.step(self.parameters.gradients)
            for name, value in statistics.items():
                if name not in sums:
                    sums[name] = torch.zeros_like(value, dtype=torch.float64)
                sums[name].add_(value)
        self.end_epoch(sums, weight, rate)
        self.seconds += time.perf_counter() - started

    def differentiate(self, x: Tensor, noise: list[Tensor], weight: Tensor) -> dict[str, Tensor]:
        """Put the gradients of a batch's loss in their place; its statistics."""
        if self._recording is None and self.recordable and self.steps_left >= RECORDED_FROM:
            self._record(x, noise, weight)
        if self._recording is not None:
            return self._recording(x, noise, weight)
        objective = self.model.objective(x, noise, self.settings, weight)
        self.parameters.take_gradients(objective.loss)
        return objective.statistics

    def _record(self, x: Tensor, noise: list[Tensor], weight: Tensor) -> None:
        try:
            places = self.parameters.gradient_views
            self._recording = Recording(self.model, self.settings, places, x, noise, weight)
        except Unrecordable:
            self.recordable = False

    @property
    def steps_left(self) -> int:
        """Steps of the epochs that are not done."""
        return int(self.settings["epochs"] - self.epoch) * self.batches

    def begin_epoch(self) -> float:
        """Binarise and shuffle anew; the epoch's KL weight."""
        self.inputs.begin_epoch(self.generator)
        self._order = torch.randperm(
            len(self.images), generator=self.generator, device=self.device
        ).split(self.batch_size)
        return kl_weight(self.epoch, self.settings["warm_up"], self.settings["warm_up_epochs"])

    def rate(self, i: int) -> float:
        """The learning rate of the epoch's i-th batch."""
        settings, total = self.settings, self.settings["epochs"] * self.batches
        step = self.epoch * self.batches + i
        return learning_rate(step, total, settings["learning_rate"], settings["annealing"])

    def batch(self, i: int) -> tuple[Tensor, list[Tensor]]:
        """The epoch's i-th batch ``[batch, pixels]`` and all the noise that it needs."""
        x = self.inputs.batch(self._order[i])
        return x, self.model.training_noise(len(x), self.settings, self.generator)

    def end_epoch(self, sums: dict[str, Tensor], weight: float, rate: float) -> None:
        """Append the epoch's statistics, given as sums over its batches, to the history.

        Raises:
            TrainingError: if the loss is not finite.
        """
        means = {name: value.cpu() / self.batches for name, value in sums.items()}
        schedule = {"kl_weight": weight, "learning_rate": rate}
        means |= {n: torch.tensor(v, dtype=torch.float64) for n, v in schedule.items()}
        self.history.append(epoch_statistics(means))
        if not math.isfinite(self.history.criterion):
            raise TrainingError(
                f"run {self.spec['run']}: the loss is not finite in epoch {self.epoch}. Lower "
                "training.learning_rate or training.max_gradient_norm for this variant and run it again."
            )

    def finish(self) -> None:
        """Collect the batch norm statistics of the whole training set, for testing."""
        model, source = self.model, generator(self.spec["seed"], "statistics", self.device)

        def forward(x: Tensor) -> None:
            noise = model.training_noise(len(x), ONE_DRAW, source)
            model.objective(x, noise, ONE_DRAW, 1.0)

        chunks = self.images.split(self.batch_size)
        whole = [chunk for chunk in chunks if len(chunk) == self.batch_size]
        inputs = (model_input(chunk, source, model.binary) for chunk in whole)
        collect_statistics(model, inputs, forward)
        model.eval()

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """All that the rest of the run depends on: tensors and metadata."""
        tensors = {
            "parameters": self.parameters.values,
            "generator": self.generator.get_state(),
            **{f"adam/{name}": tensor for name, tensor in self.optimiser.state.items()},
            **{f"buffer/{name}": tensor for name, tensor in self.model.named_buffers()},
            **{f"history/{name}": tensor for name, tensor in self.history.tensors().items()},
        }
        return tensors, {"key": self.key, "seconds": repr(self.seconds)}

    def restore(self, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        """Continue from a :meth:`state` of the same run.

        Raises:
            StoreError: if it is another run's, or incomplete.
        """
        if metadata.get("key") != self.key:
            raise StoreError("the checkpoint is of other settings, code or data")
        prefix = "history/"
        # everything is looked at before anything is taken over: copy_ would broadcast and convert
        own = {"parameters": self.parameters.values}
        own |= {f"adam/{name}": tensor for name, tensor in self.optimiser.state.items()}
        own |= {f"buffer/{name}": buffer for name, buffer in self.model.named_buffers()}
        like = own | {"generator": self.generator.get_state()}
        for name, expected in like.items():
            given = tensors.get(name)
            if given is None or given.shape != expected.shape or given.dtype != expected.dtype:
                raise StoreError(
                    f"the checkpoint is incomplete ({name!r} is missing or of another shape)"
                )
        history = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        lengths = {len(t) if t.dim() else 0 for t in history.values()}
        if len(lengths) != 1 or not 1 <= max(lengths) <= self.settings["epochs"]:
            raise StoreError("the checkpoint is incomplete (its history is not of these epochs)")
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

    def describe(self) -> str:
        """The progress line."""
        total, kl = self.settings["epochs"], self.history.last("units/kl")
        units = ""
        if kl is not None:
            parts = kl.split(latent_sizes_of(self.model))
            active = "+".join(str(int((part > ACTIVE_KL).sum())) for part in parts)
            units = f"  KL {float(kl.sum()):.2f}  active {active}"
        name = "ELBO" if "elbo" in self.history.values else "objective"
        left = self.seconds / self.epoch * (total - self.epoch)
        return (
            f"{self.spec['run']}  epoch {self.epoch}/{total}  {name} {self.history.criterion:.2f}"
            f"{units}  {self.images_per_second():,.0f} images/s  {duration(left)} left"
        )

    def images_per_second(self) -> float:
        """Training throughput of the run so far."""
        return self.epoch * self.batches * self.batch_size / max(self.seconds, 1e-9)


def latent_sizes_of(model: Any) -> list[int]:
    """Units of each stochastic layer; none for a model without."""
    return list(getattr(model, "latent_sizes", []))


def run_key(spec: Spec, data: Path, start: Path | None = None) -> str:
    """A hash of all that a run rests on: settings, code, data, and the weights that it starts
    from. A checkpoint, or a finished run that is not to be done again, must agree with it."""
    weights = "" if start is None else sha256(start.read_bytes())
    rest = [spec, keys.training_code(spec["model"]), result_file.fingerprint(data), weights]
    return sha256(json.dumps(rest, sort_keys=True).encode())[:16]


def is_trained(folder: Path, key: str) -> bool:
    """Whether ``folder`` has the run of this :func:`run_key` complete."""
    try:
        trained = result_file.read(folder / "training.h5", only=())
    except StoreError:
        return False
    complete = (folder / "weights.safetensors").is_file() and (folder / COST_FILE).is_file()
    return complete and trained.attributes.get("key") == key


def build_model(spec: Spec, pixels: int, device: str) -> Any:
    """The run's model with its initial weights."""
    model = build(spec["model"], pixels, spec["network"])
    assert isinstance(model, nn.Module)
    initialise(model, generator(spec["seed"], "weights"))
    return model.to(device)


@dataclass(frozen=True)
class Job:
    """A run to train: its settings, the folder that its files go to, and the weights of the run that
    it continues, if it continues one."""

    spec: Spec
    folder: Path
    start: Path | None = None


def train(
    spec: Spec,
    data: Path,
    folder: Path,
    checkpoint_minutes: float,
    start: Path | None = None,
    events: bool = False,
) -> None:
    """Train one run: :func:`train_together` of a single :class:`Job`."""
    train_together([Job(spec, folder, start)], data, checkpoint_minutes, events)


def train_together(
    jobs: Sequence[Job], data: Path, checkpoint_minutes: float, events: bool = False
) -> None:
    """Train runs of one architecture side by side, resuming each whose checkpoint of the same
    settings and code is there.

    Writes ``weights.safetensors``, ``training.h5`` and ``training-cost.json`` into every folder.
    SIGTERM, SIGINT, SIGUSR1 and SIGALRM save the runs at the end of the current epoch.

    Args:
        events: whether to write TensorBoard's event files beside the results.

    Raises:
        Interrupted: if a signal stopped it; running it again continues.
        TrainingError: if a loss is not finite.
    """
    prepare_process(jobs[0].spec["threads"])
    with ExitStack() as locks:
        for job in jobs:
            locks.enter_context(locked(job.folder))
        images = torch.from_numpy(read_images(data, "train")).flatten(1)
        waiting: dict[int, list[tuple[Trainer, Path]]] = {}
        for job in jobs:
            key = run_key(job.spec, data, job.start)
            trainer = Trainer(job.spec, images, job.spec["device"], job.start, key)
            _resume(trainer, job.folder / f"checkpoint-{key}.safetensors")
            waiting.setdefault(trainer.epoch, []).append((trainer, job.folder))
        for group in waiting.values():
            _train_epochs(group, checkpoint_minutes, events)
            for trainer, folder in group:
                _finish(trainer, folder)


def _finish(trainer: Trainer, folder: Path) -> None:
    """Write a trained run's files."""
    trainer.finish()
    spec, sizes = trainer.spec, latent_sizes_of(trainer.model)
    run = {"run": json.dumps(spec, sort_keys=True)}
    save_tensors(folder / "weights.safetensors", trainer.model.state_dict(), run)
    images = trainer.epoch * trainer.batches * trainer.batch_size
    write_cost(folder / COST_FILE, trainer.seconds, images, spec)
    attributes = {
        "run": spec,
        "key": trainer.key,
        "arithmetic": trainer.arithmetic,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "pixels": trainer.images.shape[1],
        "provenance": provenance.describe(),
    }
    result_file.write(folder / "training.h5", trainer.history.arrays(sizes), attributes)
    _remove_checkpoints(folder)


def _remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a run that is complete, and those that a kill left half-written."""
    for stale in folder.glob("*checkpoint-*.safetensors"):
        stale.unlink()


def tidy(folder: Path) -> None:
    """Take away what a process left that was killed when its run was complete already: checkpoints,
    its lock, what it told of itself. A living process is left alone."""
    if not (any(folder.glob("*checkpoint-*")) or any(folder.glob(".*")) or has_beacon(folder)):
        return
    with suppress(RungsError, OSError), locked(folder):
        _remove_checkpoints(folder)
        remove_beacon(folder)


def _resume(trainer: Trainer, checkpoint: Path) -> None:
    if not checkpoint.exists():
        return
    try:
        trainer.restore(*load_tensors(checkpoint))
    except StoreError as error:
        print(
            f"{checkpoint}: not used ({error}); the run starts from its beginning.", file=sys.stderr
        )
        checkpoint.unlink()
        return
    print(f"{trainer.spec['run']}: resumed after epoch {trainer.epoch}", file=sys.stderr)


def _train_epochs(group: list[tuple[Trainer, Path]], minutes: float, events: bool) -> None:
    """Run the epochs that are left, saving every few minutes and when asked to stop."""
    from rungs.training.side_by_side import Ensemble

    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    trainers = [trainer for trainer, _ in group]
    first = trainers[0]
    plain = first.device == "cpu" or not entry(first.spec["model"]).side_by_side
    alone = len(trainers) == 1 and plain
    loop = first if alone else Ensemble(trainers)
    report = Reporter(group, loop.describe, events)
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGALRM)
    previous = {number: signal.signal(number, ask) for number in signals}
    saved = time.monotonic()
    total = first.settings["epochs"]
    try:
        while loop.epoch < total:
            loop.run_epoch()
            report.epoch_done()
            if asked or time.monotonic() - saved > 60 * minutes:
                for trainer, folder in group:
                    save_tensors(folder / f"checkpoint-{trainer.key}.safetensors", *trainer.state())
                saved = time.monotonic()
            if asked:
                names = ", ".join(trainer.spec["run"] for trainer in trainers)
                raise Interrupted(
                    f"{names}: stopped by {signal.Signals(asked[0]).name} after epoch "
                    f"{first.epoch}/{total}; the same command continues it."
                )
    finally:
        report.close()
        for number, handler in previous.items():
            with suppress(TypeError):
                signal.signal(number, handler)
