"""Everything that is measured on one trained run, in one file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs import provenance, store
from rungs.data.binarise import binarise
from rungs.data.prepared import read_images
from rungs.errors import StoreError
from rungs.evaluation.activity import unit_statistics
from rungs.evaluation.likelihood import estimate
from rungs.models.protocol import LatentVariableModel
from rungs.objectives import objective_terms
from rungs.seeds import TEST_SET_SEED, generator
from rungs.training import Spec, build_model, name_of, write_cost
from rungs.weights import load_weights


def load_model(folder: Path) -> tuple[LatentVariableModel, Spec]:
    """A trained run's model in test mode, on the CPU, and its settings.

    Raises:
        StoreError: if the run is not trained or its files do not agree.
    """
    trained = store.read(folder / "training.h5", only=())
    spec: Spec = trained.attributes["run"]
    pixels = trained.attributes["pixels"]
    model = build_model(spec, pixels, "cpu")
    load_weights(model, folder / "weights.safetensors")
    model.eval()
    return model, spec  # type: ignore[return-value]


def chosen(count: int, available: int) -> Tensor:
    """Indices of ``count`` images, the same for every run; all if there are not more.

    A data set's order may not be random (the first half of MNIST's test set is the cleaner
    one), so a subset is drawn.
    """
    if count >= available:
        return torch.arange(available)
    order = torch.randperm(available, generator=generator(TEST_SET_SEED, "subset"))
    return order[:count].sort().values


def binarised(data: Path, split: str, count: int) -> Tensor:
    """``count`` images of a split, binarised once in the same way for every run, ``[n, pixels]``.

    Raises:
        DataError, StoreError: if the data file is damaged.
    """
    images = torch.from_numpy(read_images(data, split)).flatten(1)
    fixed = binarise(images, generator(TEST_SET_SEED, f"{split} set"))
    return fixed[chosen(count, len(fixed))]


def evaluate(folder: Path, data: Path, settings: dict[str, Any]) -> None:
    """Measure a trained run; writes ``evaluation.h5`` and ``evaluation-cost.json``.

    Args:
        folder: the run's.
        settings: the configuration's ``evaluation`` section as the run sees it.
    """
    started = time.perf_counter()
    model, spec = load_model(folder)
    torch.set_num_threads(spec["threads"])
    torch.use_deterministic_algorithms(True)
    test = binarised(data, "test", settings["images"])
    train = binarised(data, "train", settings["train_images"])
    likelihood = estimate(model, test, settings["samples"], spec["seed"], settings["chunk_rows"])
    if not bool(torch.isfinite(likelihood.lk).all()):
        raise StoreError(
            f"run {name_of(spec)}: its likelihood is not finite; delete {folder} and train it again "
            "with a lower training.learning_rate."
        )
    units = unit_statistics(
        model,
        test,
        settings["unit_samples"],
        generator(spec["seed"], "units"),
        settings["chunk_rows"],
    )
    arrays: dict[str, Any] = {
        "test/lk": likelihood.lk,
        "test/elbo": likelihood.elbo,
        "test/ess": likelihood.ess,
        "test/nested_k": np.array(likelihood.nested_k),
        "test/nested_lk": likelihood.nested_lk,
        "train/elbo": elbo(model, train, spec["seed"], settings["chunk_rows"]),
    }
    for i, (kl, variance) in enumerate(zip(units.kl, units.active_variance, strict=True), 1):
        arrays[f"layers/{i}/kl"] = kl
        arrays[f"layers/{i}/active_variance"] = variance
    attributes = {
        "run": spec,
        "evaluation": settings,
        "provenance": provenance.describe(),
    }
    store.write(folder / "evaluation.h5", arrays, json.loads(json.dumps(attributes)))
    write_cost(folder / "evaluation-cost.json", time.perf_counter() - started, len(test), spec)


@torch.no_grad()
def elbo(model: LatentVariableModel, x: Tensor, seed: int, chunk_rows: int) -> Tensor:
    """One-draw ELBO of each image of ``x [images, pixels]``, ``[images]``, nats."""
    random = generator(seed, "train elbo")
    parts = []
    for block in x.split(chunk_rows):
        terms = objective_terms(model, block, random)
        parts.append(terms.reconstruction - terms.kl.sum(-1))
    return torch.cat(parts)
