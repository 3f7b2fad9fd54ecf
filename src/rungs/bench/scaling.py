"""Cost against what makes it: k, depth, latent size, batch of seeds; with fitted exponents."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from rungs.bench import Row, Scale
from rungs.bench.data import images, settings_of
from rungs.bench.timing import in_turns
from rungs.evaluation.likelihood import estimate
from rungs.numerics.torch_setup import prepare_process
from rungs.training.trainer import Trainer


def measure(scale: Scale) -> list[Row]:
    """Median seconds at each size, and the exponent of a power law through them."""
    prepare_process(scale.threads)
    _, train, test = images()
    train = train[:1024]
    x = test[:8]
    rows = []
    for what, sizes, make in (
        ("estimating, k", (100, 300, 1000, 3000), lambda k: _estimation(x, k)),
        ("training, depth", (1, 2, 3, 5), lambda depth: _training(train, depth, 64)),
        ("training, latent size", (16, 64, 256, 1024), lambda units: _training(train, 1, units)),
    ):
        kept = sizes if scale.share >= 1 else sizes[:2]
        seconds = in_turns({str(size): make(size) for size in kept}, scale.repetitions)
        medians = np.array([np.median(seconds[str(size)]) for size in kept])
        exponent = np.polyfit(np.log(kept), np.log(medians), 1)[0]
        rows += [
            Row(f"scaling, {what}", str(size), float(s), "s", note=f"exponent {exponent:.2f}")
            for size, s in zip(kept, medians, strict=True)
        ]
    return rows


def _estimation(x: torch.Tensor, samples: int) -> Callable[[], object]:
    model = Trainer(settings_of("vae", 1), (x * 255).to(torch.uint8), "cpu").model.eval()
    return lambda: estimate(model, x, samples, 0, 1000)


def _training(train: torch.Tensor, depth: int, units: int) -> Callable[[], object]:
    settings = settings_of("lvae-bn-wu", depth, epochs=10_000)
    if depth == 1:
        settings["network"]["latent_sizes"] = [units]
    return Trainer(settings, train, "cpu").run_epoch
