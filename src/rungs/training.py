"""The training loop: knows a model by its protocol and a run by its resolved settings.

An epoch is the unit of everything: statistics, checkpoints, interruption. The state at its end
(parameters, Adam's moments, the random generator, the history) is all that the rest depends
on, so an interrupted run ends bit for bit where an uninterrupted one ends.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rungs import provenance, store
from rungs.data.binarise import TrainingImages, model_input
from rungs.data.prepared import read_images
from rungs.definitions import ACTIVE_KL
from rungs.errors import StoreError, TrainingError
from rungs.files import sha256, write_text
from rungs.locks import locked
from rungs.models import build
from rungs.models.networks import collect_statistics, initialise
from rungs.objectives import epoch_statistics, kl_weight, learning_rate
from rungs.progress import ProgressLine, duration
from rungs.seeds import generator
from rungs.weights import load_tensors, load_weights, save_tensors

Spec = dict[str, Any]
ADAM_BETAS = (0.9, 0.999)
COST_FILE = "training-cost.json"
#: the objective with which batch norm statistics are collected
ONE_DRAW = {"monte_carlo_samples": 1, "importance_samples": 1}
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
        starts = [0]
        for parameter in self.parameters:
            starts.append(starts[-1] + -(-parameter.numel() // ALIGNMENT) * ALIGNMENT)
        device = self.parameters[0].device
        self.values = nn.Parameter(torch.zeros(starts[-1], device=device))
        self.gradients = torch.zeros(starts[-1], device=device)
        self.values.grad = self.gradients
        self._views = []
        for parameter, start in zip(self.parameters, starts, strict=False):
            part = slice(start, start + parameter.numel())
            self.values.data[part] = parameter.data.reshape(-1)
            parameter.data = self.values.data[part].view_as(parameter)
            self._views.append(self.gradients[part].view_as(parameter))

    def take_gradients(self, loss: Tensor) -> None:
        """The gradients of ``loss``, zero for a parameter that it does not depend on."""
        found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        for view, gradient in zip(self._views, found, strict=True):
            if gradient is None:
                view.zero_()
            else:
                view.copy_(gradient)

    def clip_gradients(self, norm: float, element: float) -> None:
        """Constrain the gradient's norm, then its elements, as the ladder's release does."""
        scale = (norm / (torch.linalg.vector_norm(self.gradients) + 1e-7)).clamp_max(1.0)
        self.gradients.mul_(scale).clamp_(-element, element)


class History:
    """Statistics of every epoch, by name: what :class:`rungs.models.protocol.Objective` says,
    ``kl_weight`` and ``learning_rate``."""

    def __init__(self, values: dict[str, list[Tensor]] | None = None) -> None:
        self.values: dict[str, list[Tensor]] = {} if values is None else values

    def __len__(self) -> int:
        return len(next(iter(self.values.values()), []))

    def append(self, epoch: dict[str, Tensor]) -> None:
        """Add an epoch's float64 scalars and vectors."""
        for name, value in epoch.items():
            self.values.setdefault(name, []).append(value)

    def last(self, name: str) -> Tensor | None:
        """The latest value of a statistic, None if the model does not have it."""
        return self.values[name][-1] if name in self.values else None

    @property
    def criterion(self) -> float:
        """The latest value of what convergence is judged by."""
        return float(self.values["elbo" if "elbo" in self.values else "objective"][-1])

    def tensors(self) -> dict[str, Tensor]:
        """Everything as float64 tensors, for a checkpoint."""
        return {name: torch.stack(values) for name, values in self.values.items()}

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> History:
        """The inverse of :meth:`tensors`."""
        return cls({name: list(values) for name, values in tensors.items()})

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
        spec: the run's resolved settings (:func:`rungs.config.resolve`).
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
        if start is not None:
            load_weights(self.model, start)
        self.parameters = FlatParameters(self.model)
        self.optimiser = torch.optim.Adam(
            [self.parameters.values],
            lr=self.settings["learning_rate"],
            betas=ADAM_BETAS,
            eps=self.settings["adam_epsilon"],
            fused=True,
        )
        self.generator = generator(spec["seed"], "training", device)
        self.batch = min(self.settings["batch_size"], len(images))
        #: the remainder of an epoch is left out; the next epoch shuffles anew
        self.batches = len(images) // self.batch
        self.history = History()
        self.seconds = 0.0

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
        self.model.train()
        self.inputs.begin_epoch(self.generator)
        order = torch.randperm(len(self.images), generator=self.generator, device=self.device)
        settings, epoch = self.settings, self.epoch
        weight = kl_weight(epoch, settings["warm_up"], settings["warm_up_epochs"])
        rate = 0.0
        sums: dict[str, Tensor] = {}
        for i in range(self.batches):
            step = epoch * self.batches + i
            rate = learning_rate(
                step,
                settings["epochs"] * self.batches,
                settings["learning_rate"],
                settings["annealing"],
            )
            self.optimiser.param_groups[0]["lr"] = rate
            chosen = order[i * self.batch : (i + 1) * self.batch]
            x = self.inputs.batch(chosen)
            noise = self.model.training_noise(len(x), settings, self.generator)
            objective = self.model.objective(x, noise, settings, weight)
            self.parameters.take_gradients(objective.loss)
            self.parameters.clip_gradients(
                settings["max_gradient_norm"], settings["max_gradient_element"]
            )
            self.optimiser.step()
            for name, value in objective.statistics.items():
                if name not in sums:
                    sums[name] = torch.zeros_like(value, dtype=torch.float64)
                sums[name].add_(value)
        means = {name: value.cpu() / self.batches for name, value in sums.items()}
        schedule = {"kl_weight": weight, "learning_rate": rate}
        means |= {n: torch.tensor(v, dtype=torch.float64) for n, v in schedule.items()}
        self.history.append(epoch_statistics(means))
        if not math.isfinite(self.history.criterion):
            raise TrainingError(
                f"run {self.spec['run']}: the loss is not finite in epoch {self.epoch}. Lower "
                "training.learning_rate or training.max_gradient_norm for this variant and run it again."
            )
        self.seconds += time.perf_counter() - started

    def finish(self) -> None:
        """Collect the batch norm statistics of the whole training set, for testing."""
        model, source = self.model, generator(self.spec["seed"], "statistics", self.device)

        def forward(x: Tensor) -> None:
            noise = model.training_noise(len(x), ONE_DRAW, source)
            model.objective(x, noise, ONE_DRAW, 1.0)

        chunks = self.images.split(self.batch)
        whole = [chunk for chunk in chunks if len(chunk) == self.batch]
        inputs = (model_input(chunk, source, model.binary) for chunk in whole)
        collect_statistics(model, inputs, forward)
        model.eval()

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """All that the rest of the run depends on: tensors and metadata."""
        moments = self.optimiser.state[self.parameters.values]
        tensors = {
            "parameters": self.parameters.values.data,
            "generator": self.generator.get_state(),
            **{f"adam/{name}": tensor for name, tensor in moments.items()},
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
        try:
            self.parameters.values.data.copy_(tensors["parameters"])
            self.generator.set_state(tensors["generator"])
            self.optimiser.state[self.parameters.values] = {
                name: tensors[f"adam/{name}"].to(self.device)
                for name in ("step", "exp_avg", "exp_avg_sq")
            }
            for name, buffer in self.model.named_buffers():
                buffer.copy_(tensors[f"buffer/{name}"])
            prefix = "history/"
            self.history = History.of(
                {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            )
            self.seconds = float(metadata["seconds"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise StoreError(f"the checkpoint is incomplete ({error})") from error

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
        return self.epoch * self.batches * self.batch / max(self.seconds, 1e-9)


def latent_sizes_of(model: Any) -> list[int]:
    """Units of each stochastic layer; none for a model without."""
    return list(getattr(model, "latent_sizes", []))


def run_key(spec: Spec, data: Path, start: Path | None = None) -> str:
    """A hash of all that a run rests on: settings, code, data, and the weights that it starts
    from. A checkpoint, or a finished run that is not to be done again, must agree with it."""
    weights = "" if start is None else sha256(start.read_bytes())
    rest = [spec, provenance.training_code(spec["model"]), store.fingerprint(data), weights]
    return sha256(json.dumps(rest, sort_keys=True).encode())[:16]


def is_trained(folder: Path, key: str) -> bool:
    """Whether ``folder`` has the run of this :func:`run_key` complete."""
    try:
        trained = store.read(folder / "training.h5", only=())
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


def train(
    spec: Spec, data: Path, folder: Path, checkpoint_minutes: float, start: Path | None = None
) -> None:
    """Train one run, resuming it if a checkpoint of the same settings and code is there.

    ``start`` has the weights of the run that this one continues, if it continues one.
    Writes ``weights.safetensors``, ``training.h5`` and ``training-cost.json`` into ``folder``.
    SIGTERM, SIGINT and SIGUSR1 save the run at the end of the current epoch.

    Raises:
        Interrupted: if a signal stopped it; running it again continues.
        TrainingError: if the loss is not finite.
    """
    torch.set_num_threads(spec["threads"])
    # what cuBLAS needs to be deterministic; without effect on a CPU
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    with locked(folder):
        images = torch.from_numpy(read_images(data, "train")).flatten(1)
        key = run_key(spec, data, start)
        trainer = Trainer(spec, images, spec["device"], start, key)
        checkpoint = folder / f"checkpoint-{key}.safetensors"
        _resume(trainer, checkpoint)
        _train_epochs(trainer, checkpoint, checkpoint_minutes)
        trainer.finish()
        attributes = {"run": spec, "key": key, "provenance": provenance.describe()}
        run = {"run": json.dumps(spec, sort_keys=True)}
        save_tensors(folder / "weights.safetensors", trainer.model.state_dict(), run)
        write_cost(
            folder / COST_FILE,
            seconds=trainer.seconds,
            images=trainer.epoch * trainer.batches * trainer.batch,
            spec=spec,
        )
        sizes = latent_sizes_of(trainer.model)
        count = sum(p.numel() for p in trainer.model.parameters())
        store.write(
            folder / "training.h5",
            trainer.history.arrays(sizes),
            {**attributes, "parameters": count, "pixels": images.shape[1]},
        )
        for stale in folder.glob("checkpoint-*.safetensors"):
            stale.unlink()


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


def _train_epochs(trainer: Trainer, checkpoint: Path, minutes: float) -> None:
    """Run the epochs that are left, saving every few minutes and when asked to stop."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    previous = {number: signal.signal(number, ask) for number in signals}
    line, saved = ProgressLine(), time.monotonic()
    total = trainer.settings["epochs"]
    try:
        while trainer.epoch < total:
            trainer.run_epoch()
            line.update(trainer.describe(), final=trainer.epoch == total)
            if asked or time.monotonic() - saved > 60 * minutes:
                save_tensors(checkpoint, *trainer.state())
                saved = time.monotonic()
            if asked:
                raise Interrupted(
                    f"{trainer.spec['run']}: stopped by {signal.Signals(asked[0]).name} after epoch "
                    f"{trainer.epoch}/{total}; the same command continues it."
                )
    finally:
        for number, handler in previous.items():
            with suppress(TypeError):
                signal.signal(number, handler)


def write_cost(path: Path, seconds: float, images: int, spec: Spec) -> None:
    """What a job cost, in a file of its own: result files hold no times."""
    cost = {
        "seconds": seconds,
        "images_per_second": images / max(seconds, 1e-9),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "device": spec["device"],
        "threads": spec["threads"],
    }
    write_text(path, json.dumps(cost, indent=1) + "\n")
