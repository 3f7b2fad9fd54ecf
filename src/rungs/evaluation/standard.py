"""Everything that is measured on one trained run, in one file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.data.binarise import model_input
from rungs.data.prepared import read_images, read_labels
from rungs.errors import RungsError, StoreError
from rungs.evaluation.activity import unit_statistics
from rungs.evaluation.aggregate import aggregate_arrays
from rungs.evaluation.likelihood import estimate
from rungs.evaluation.pictures import PICTURES, as_bytes
from rungs.evaluation.representation import nearest_neighbours_correct
from rungs.models.objectives import elbo_terms, objective_noise
from rungs.models.precision import arithmetic, set_decoding_arithmetic
from rungs.models.protocol import LatentVariableModel, draw_noise, noise_sizes
from rungs.numerics.seeds import TEST_SET_SEED, generator
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.storage.atomic import read_seconds, sha256
from rungs.storage.tensors import load_weights
from rungs.study import keys, provenance
from rungs.training.trainer import Spec, build_model, write_cost

COST_FILE = "evaluation-cost.json"


def load_model(folder: Path) -> tuple[Any, Spec]:
    """A trained run's model in test mode, on the CPU, and its settings.

    Raises:
        StoreError: if the run is not trained or its files do not agree.
    """
    trained = result_file.read(folder / "training.h5", only=())
    spec: Spec = trained.attributes["run"]
    try:
        model = build_model(spec, trained.attributes["pixels"], "cpu")
    except RungsError:
        raise
    except Exception as error:  # whatever a model makes of strange settings
        raise StoreError(
            f"{trained.path}: its settings describe no model of this version ({error}). Train the run again."
        ) from error
    load_weights(model, folder / "weights.safetensors")
    set_decoding_arithmetic(model, arithmetic(spec))
    model.eval()
    return model, spec


def chosen(count: int, available: int) -> Tensor:
    """Indices of ``count`` images, the same for every run; all if there are not more.

    A data set's order may not be random (the first half of MNIST's test set is the cleaner
    one), so a subset is drawn.
    """
    if count >= available:
        return torch.arange(available)
    order = torch.randperm(available, generator=generator(TEST_SET_SEED, "subset"))
    return order[:count].sort().values


@dataclass(frozen=True)
class Split:
    """Images of a split that an evaluation uses, binarised once in the same way for every run.

    Attributes:
        x: ``[n, pixels]`` of zeros and ones, or intensities from 0 to 1.
        labels: ``[n]``; -1 throughout where the data set has none.
    """

    x: Tensor
    labels: np.ndarray

    @property
    def labelled(self) -> bool:
        """Whether the images have classes."""
        return bool((self.labels >= 0).all())

    @classmethod
    def read(cls, data: Path, split: str, count: int, binary: bool = True) -> Split:
        """``count`` images of a split, binarised or as intensities.

        Raises:
            DataError, StoreError: if the data file is damaged.
        """
        images = torch.from_numpy(read_images(data, split)).flatten(1)
        fixed = model_input(images, generator(TEST_SET_SEED, f"{split} set"), binary)
        indices = chosen(count, len(fixed))
        return cls(fixed[indices], read_labels(data, split)[indices.numpy()])


def evaluation_key(
    folder: Path, data: Path, settings: dict[str, Any], classifier: Path | None = None
) -> str:
    """A hash of all that an evaluation rests on: the trained run, settings, code, data, and the
    classifier that compares samples, if it uses one."""
    trained = result_file.read(folder / "training.h5", only=()).attributes
    code = keys.evaluation_code(trained["run"]["model"])
    rest = [trained.get("key"), settings, code, result_file.fingerprint(data)]
    if classifier is not None:
        rest.append(sha256(classifier.read_bytes()))
    return sha256(json.dumps(rest, sort_keys=True).encode())[:16]


def is_evaluated(output: Path, key: str) -> bool:
    """Whether ``output`` has the evaluation of this :func:`evaluation_key` complete."""
    try:
        found = result_file.read(output / "evaluation.h5", only=())
    except StoreError:
        return False
    return (output / COST_FILE).is_file() and found.attributes.get("key") == key


def evaluate(
    folder: Path,
    data: Path,
    settings: dict[str, Any],
    output: Path | None = None,
    shards: Sequence[Path] = (),
    classifier: Path | None = None,
    more: Callable[[Any, Spec, Split, Split], dict[str, Any]] | None = None,
) -> None:
    """Measure a trained run; writes ``evaluation.h5`` and ``evaluation-cost.json``.

    Args:
        folder: the run's.
        settings: the configuration's ``evaluation`` section as the run sees it.
        output: where to write; by default ``folder``.
        shards: files of :func:`evaluate_shard` with the parts of the likelihood, in order;
            without them it is estimated here.
        classifier: what a family's own evaluation compares samples with; part of the key.
        more: a family's further arrays, from model, settings, training and test images.
    """
    started = time.perf_counter()
    model, spec = load_model(folder)
    prepare_process(spec["threads"])
    test = Split.read(data, "test", settings["images"], model.binary)
    train = Split.read(data, "train", settings["train_images"], model.binary)
    arrays = {
        "test/labels": test.labels,
        "train/elbo": elbo(model, train.x, spec["seed"], settings["chunk_rows"]),
        **(merged(shards) if shards else likelihood_arrays(model, spec, test, settings)),
        **unit_arrays(model, spec, test, settings),
        **representation_arrays(model, spec, train, test),
        **picture_arrays(model, spec, test),
        **aggregate_arrays(model, spec["seed"], train.x, test.x, settings["chunk_rows"]),
    }
    if more is not None:
        arrays |= more(model, spec, train, test)
    attributes = {
        "run": spec,
        "evaluation": settings,
        "key": evaluation_key(folder, data, settings, classifier),
        "provenance": provenance.describe(),
    }
    seconds = time.perf_counter() - started
    for path in shards:
        seconds += read_seconds(path.with_suffix(".json"))
    output = folder if output is None else output
    write_cost(output / COST_FILE, seconds, len(test.x), spec)
    result_file.write(output / "evaluation.h5", arrays, attributes)


def evaluate_shard(
    folder: Path, data: Path, settings: dict[str, Any], shard: tuple[int, int], output: Path
) -> None:
    """Estimate the likelihood of the i-th of n parts of the test images, ``shard`` being (i, n),
    into ``output``, and its cost into the JSON file beside it."""
    started = time.perf_counter()
    model, spec = load_model(folder)
    prepare_process(spec["threads"])
    test = Split.read(data, "test", settings["images"], model.binary)
    result_file.write(output, likelihood_arrays(model, spec, test, settings, shard), {"run": spec})
    write_cost(output.with_suffix(".json"), time.perf_counter() - started, len(test.x), spec)


def merged(shards: Sequence[Path]) -> dict[str, np.ndarray]:
    """The arrays of all test images from those of the shards, in order."""
    parts = [result_file.read(path) for path in shards]
    return {
        name: array
        if name == "test/nested_k"
        else np.concatenate([part[name] for part in parts], axis=-1)
        for name, array in parts[0].arrays.items()
    }


def likelihood_arrays(
    model: LatentVariableModel,
    spec: Spec,
    test: Split,
    settings: dict[str, Any],
    shard: tuple[int, int] = (0, 1),
) -> dict[str, Any]:
    """L_k, ELBO and effective sample size of each test image, and the nested bounds."""
    samples, rows = settings["samples"], settings["chunk_rows"]
    found = estimate(model, test.x, samples, spec["seed"], rows, shard)
    if not bool(torch.isfinite(found.lk).all()):
        raise StoreError(
            f"run {spec['run']}: its likelihood is not finite; delete its folder and train it again "
            "with a lower training.learning_rate."
        )
    return {
        "test/lk": found.lk,
        "test/elbo": found.elbo,
        "test/ess": found.ess,
        "test/nested_k": np.array(found.nested_k),
        "test/nested_lk": found.nested_lk,
    }


def unit_arrays(
    model: LatentVariableModel, spec: Spec, test: Split, settings: dict[str, Any]
) -> dict[str, Any]:
    """KL and activity of each unit, layer by layer."""
    random = generator(spec["seed"], "units")
    draws, rows = settings["unit_samples"], settings["chunk_rows"]
    found = unit_statistics(model, test.x, draws, random, rows)
    arrays: dict[str, Any] = {}
    for i, (image_kl, kl, variance) in enumerate(
        zip(found.image_kl, found.kl, found.active_variance, strict=True), 1
    ):
        arrays[f"layers/{i}/image_kl"] = image_kl.float()
        arrays[f"layers/{i}/kl"] = kl
        arrays[f"layers/{i}/active_variance"] = variance
    return arrays


@torch.no_grad()
def representation_arrays(
    model: LatentVariableModel, spec: Spec, train: Split, test: Split
) -> dict[str, Any]:
    """One sample of each layer's latents for the test images and, where there are classes, whether the
    nearest training images' samples tell the class."""
    random = generator(spec["seed"], "representation")

    def samples(x: Tensor) -> list[np.ndarray]:
        noise = draw_noise(noise_sizes(model), len(x), generator=random)
        return [layer.sample.numpy() for layer in model.draw(model.encode(x), noise)]

    arrays: dict[str, Any] = {}
    for i, (reference, query) in enumerate(zip(samples(train.x), samples(test.x), strict=True), 1):
        arrays[f"layers/{i}/sample"] = query
        if train.labelled and test.labelled:
            arrays[f"layers/{i}/knn_correct"] = nearest_neighbours_correct(
                reference, train.labels, query, test.labels
            )
    return arrays


@torch.no_grad()
def picture_arrays(model: LatentVariableModel, spec: Spec, test: Split) -> dict[str, Any]:
    """Mean images of samples from the prior, and of reconstructions, as uint8."""
    random = generator(spec["seed"], "pictures")
    latents = model.generate(draw_noise(noise_sizes(model), PICTURES, generator=random))
    originals = test.x[:PICTURES]
    noise = draw_noise(noise_sizes(model), len(originals), generator=random)
    layers = model.draw(model.encode(originals), noise)

    return {
        "pictures/samples": as_bytes(model.decode(latents[0])),
        "pictures/originals": as_bytes(originals),
        "pictures/reconstructions": as_bytes(model.decode(layers[0].sample)),
    }


@torch.no_grad()
def elbo(model: LatentVariableModel, x: Tensor, seed: int, chunk_rows: int) -> Tensor:
    """One-draw ELBO of each image of ``x [images, pixels]``, ``[images]``, nats."""
    random = generator(seed, "train elbo")
    parts = []
    for block in x.split(chunk_rows):
        terms = elbo_terms(model, block, objective_noise(noise_sizes(model), len(block), random))
        parts.append(terms.reconstruction - terms.kl.sum(-1))
    return torch.cat(parts)
