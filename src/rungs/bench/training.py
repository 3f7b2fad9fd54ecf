"""Training: the plain VAE beside pythae's, the depth-5 ladder beside its own matrix products."""

from __future__ import annotations

import shutil
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.bench import Row, Scale, peers
from rungs.bench.data import HIDDEN, PIXELS, UNITS, images, settings_of
from rungs.bench.timing import Products, in_turns, spread
from rungs.evaluation.bounds import elbo
from rungs.models.arithmetic import arithmetic
from rungs.numerics.torch_setup import prepare_process
from rungs.training.optimiser import clip_gradients
from rungs.training.trainer import Trainer

EPOCHS, BATCH, RATE = 3, 256, 1e-3


def measure(scale: Scale) -> list[Row]:
    """Images a second, in float32 and in bfloat16 where that is hardware."""
    prepare_process(scale.threads)
    name, train, test = images()
    # pythae's images stand still, so ours do here too: white or black, binarised once
    still = (
        torch.rand(train.shape, generator=torch.Generator().manual_seed(1)) * 255 < train
    ) * 255
    count = max(2 * BATCH, int(len(train) * scale.share))
    rows = against_pythae(name, still[:count].to(torch.uint8), test, scale)
    return rows + fraction_of_limit(train[: max(BATCH, min(count, 20 * BATCH))], scale)


def against_pythae(name: str, train: Tensor, test: Tensor, scale: Scale) -> list[Row]:
    """Epochs in turns; the test ELBO after the same number of steps."""
    # the test ELBO after so few steps differs by 0.4 nats from seed to seed
    repetitions = scale.repetitions
    epochs = EPOCHS * max(1, round(scale.share * 60_000 / len(train)))
    seconds: dict[str, list[float]] = {}
    bounds: dict[str, list[float]] = {}
    for seed in range(repetitions):
        settings = settings_of("vae", 1, seed, epochs=epochs, batch_size=BATCH, learning_rate=RATE)
        # pythae does not clip; ours does here too, at a height that nothing reaches
        settings["training"] |= {"max_gradient_norm": 1e9, "max_gradient_element": 1e9}
        loops: dict[str, Any] = {"ours, float32": Trainer(settings, train, "cpu")}
        narrow = settings | {"precision": "bfloat16"}
        if arithmetic(narrow) == "bfloat16":
            loops["ours, bfloat16"] = Trainer(narrow, train, "cpu")
        if peers.available():
            torch.manual_seed(seed)
            model = peers.wrap(Trainer(settings, train[:BATCH], "cpu").model, PIXELS, UNITS)
            epsilon = settings["training"]["adam_epsilon"]
            loops["pythae"] = peers.Trainer(
                model, train.float() / 255, BATCH, RATE, epsilon, epochs
            )
        for _ in range(epochs):
            for subject, loop in loops.items():
                started = time.perf_counter()
                loop.run_epoch()
                seconds.setdefault(subject, []).append(time.perf_counter() - started)
        for subject, loop in loops.items():
            if isinstance(loop, Trainer):
                loop.finish()
                found = float(elbo(loop.model, test, seed, 2000).mean())
            else:
                found = peers.elbo(loop.trainer.model, test, seed)
                shutil.rmtree(loop.folder, ignore_errors=True)
            bounds.setdefault(subject, []).append(found)
    rates = {s: len(train) / float(np.median(v)) for s, v in seconds.items()}
    peer = rates.get("pythae")
    what = f"training {PIXELS}-{HIDDEN}-{HIDDEN}-{UNITS}, batch {BATCH}, {name}"
    return [
        Row(
            what,
            subject,
            rate,
            "images/s",
            rate / peer if peer and subject != "pythae" else None,
            "pythae" if peer and subject != "pythae" else "",
            spread(np.array(seconds[subject])),
            f"test ELBO {np.mean(bounds[subject]):.2f} after {epochs} epochs "
            f"(s.e. {np.std(bounds[subject], ddof=1) / np.sqrt(repetitions):.2f})",
        )
        for subject, rate in rates.items()
    ]


def step_of(trainer: Trainer) -> Any:
    """A training step on one fixed batch, without the drawing of images and noise."""
    trainer.model.train()
    trainer.begin_epoch()
    x, noise = trainer.batch(0)

    def step() -> None:
        objective = trainer.model.objective(x, noise, trainer.recipe, 1.0)
        trainer.parameters.take_gradients(objective.loss)
        clip_gradients(trainer.parameters.gradients, 4.0, 0.9)
        trainer.optimiser.step(trainer.parameters.gradients)

    return step


def fraction_of_limit(train: Tensor, scale: Scale) -> list[Row]:
    """Epochs of the depth-5 LVAE+BN, and of the plain VAE, beside the matrix products that they
    make, alone."""
    rows = []
    for variant, depth in (("lvae-bn-wu", 5), ("vae", 1)):
        kinds = {"float32": settings_of(variant, depth, epochs=10_000, batch_size=BATCH)}
        narrow = kinds["float32"] | {"precision": "bfloat16"}
        if arithmetic(narrow) == "bfloat16":
            kinds["bfloat16"] = narrow
        trainers = {kind: Trainer(settings, train, "cpu") for kind, settings in kinds.items()}
        limits = {kind: Products(step_of(trainer)) for kind, trainer in trainers.items()}
        functions: dict[str, Any] = {}
        for kind, trainer in trainers.items():
            functions[f"ours, {kind}"] = trainer.run_epoch
            functions[f"limit, {kind}"] = _repeated(limits[kind], trainer.batches)
        # turns of a second: of ten, one run of this says 0.72 and the next 0.81
        seconds = in_turns(functions, 8 * scale.repetitions)
        count = trainers["float32"].batches * BATCH
        ceiling = count / float(np.median(seconds["limit, float32"]))
        for subject, found in seconds.items():
            rate = count / float(np.median(found))
            rows.append(
                Row(
                    f"training {variant} depth {depth}, batch {BATCH}",
                    subject,
                    rate,
                    "images/s",
                    rate / ceiling,
                    "limit, float32",
                    spread(found),
                    f"{len(limits['float32'])} products a step, "
                    f"{limits['float32'].operations * rate / BATCH / 1e9:.0f} GFLOP/s",
                )
            )
    return rows


def _repeated(function: Any, times: int) -> Any:
    def work() -> None:
        for _ in range(times):
            function()

    return work
