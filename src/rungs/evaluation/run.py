"""The evaluation of a run: reads the trained run and its data, measures, writes ``evaluation.h5``.

The statistics are those of the family's evaluator (:mod:`rungs.evaluation.evaluator`). A run with a
continuation is measured twice, with the same random numbers: the arrays that claims read are there of the
weights at the end of the schedule too, their names beginning with :data:`rungs.study.layout.BEFORE`. The
prior that was learnt over a run's codes is that of its final weights in both.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rungs.errors import RungsError, StoreError
from rungs.evaluation.bounds import likelihood_arrays
from rungs.evaluation.classifier import Classifier
from rungs.evaluation.definitions import PRIOR_OBJECTIVE, is_claimed
from rungs.evaluation.evaluator import Evaluator, evaluator_of
from rungs.evaluation.materials import Materials
from rungs.models.arithmetic import arithmetic, set_decoding_arithmetic
from rungs.models.build_model import build_model
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.storage.atomic import sha256
from rungs.storage.cost_file import read_seconds, write_cost
from rungs.storage.tensors import load_weights, set_weights
from rungs.study import keys, provenance
from rungs.study.identity import TRAINED
from rungs.study.layers import Config
from rungs.study.layout import (
    BEFORE,
    CLASSES,
    EVALUATION,
    EVALUATION_COST,
    HISTORY,
    SCHEDULED,
    WEIGHTS,
    Layout,
)
from rungs.study.runs import PRIOR_FOLDER, Run
from rungs.study.settings import (
    EvaluationSettings,
    RunSettings,
    code_prior_settings,
    evaluation_settings,
)
from rungs.training.schedules import continuation_epochs


@dataclass(frozen=True)
class Inputs:
    """The files and settings from which a run is evaluated.

    Attributes:
        folder: of the trained run; with a learnt prior it has the folder ``prior``.
        data: the prepared data set.
        evaluation: the configuration's ``evaluation`` section as the run sees it and, if a prior was learnt
            over the run's codes, ``prior``, the key of its training.
        classifier: the file of the classifier that compares samples, if any.
        shards: where the files of :func:`evaluate_shard` with the parts of the likelihood belong, in order;
            none where the likelihood is not split.
    """

    folder: Path
    data: Path
    evaluation: EvaluationSettings
    classifier: Path | None = None
    shards: tuple[Path, ...] = ()

    @classmethod
    def of(cls, config: Config, run: Run, trained: Path | None = None) -> Inputs:
        """Return the inputs of a run of a profile.

        Args:
            trained: the folder of the trained run; by default that of its exported files.

        Raises:
            StoreError: if the run has codes whose prior has not been trained.
        """
        layout, evaluation = Layout(config["profile"]), evaluation_settings(config, run)
        folder = Path(layout.run(run)) if trained is None else trained
        classifier = layout.classifier_of(config, run)
        if code_prior_settings(config, run) is not None:
            prior = result_file.read(folder / PRIOR_FOLDER / HISTORY, only=())
            evaluation |= {"prior": prior.attributes["key"]}
        return cls(
            folder,
            Path(layout.data(run.dataset)),
            evaluation,
            None if classifier is None else Path(classifier),
            tuple(map(Path, layout.shards(config, run))),
        )

    def key(self) -> str:
        """Return a hash of the trained run, the settings, the code, the data and the classifier."""
        rest = self._rests_on()
        if self.classifier is not None:
            rest.append(sha256(self.classifier.read_bytes()))
        return _hash(rest)

    def shard_key(self) -> str:
        """Return a hash of all that a part of the likelihood rests on."""
        return _hash(self._rests_on())

    def _rests_on(self) -> list[Any]:
        """Return what identifies the trained run, the settings, the code and the data."""
        trained = result_file.read(self.folder / HISTORY, only=()).attributes
        code = keys.evaluation_code(trained["run"]["model"])
        return [trained.get("key"), self.evaluation, code, result_file.fingerprint(self.data)]


def _hash(values: list[Any]) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode())[:16]


def is_shard(path: Path, key: str) -> bool:
    """Return whether a file holds a part of the likelihood with this key (:meth:`Inputs.shard_key`).

    Raises:
        StoreError: if it is damaged.
    """
    if not path.exists() or not path.with_suffix(".json").exists():
        return False
    return bool(result_file.read(path, only=()).attributes.get("key") == key)


def is_evaluated(output: Path, key: str) -> bool:
    """Return whether ``output`` holds the complete evaluation with this key (:meth:`Inputs.key`)."""
    try:
        found = result_file.read(output / EVALUATION, only=())
    except StoreError:
        return False
    return (output / EVALUATION_COST).is_file() and found.attributes.get("key") == key


def load_model(folder: Path, scheduled: bool = False) -> tuple[Any, RunSettings]:
    """Return a trained run's model in test mode, on the CPU, and its settings.

    Args:
        scheduled: with the weights at the end of the schedule instead of the final ones.

    Raises:
        StoreError: if the run is not trained or its files do not agree.
    """
    trained = result_file.read(folder / HISTORY, only=())
    settings: RunSettings = trained.attributes["run"]
    try:
        model = build_model(settings, trained.attributes["pixels"], "cpu")
    except RungsError:
        raise
    except Exception as error:  # whatever a model makes of strange settings
        raise StoreError(
            f"{trained.path}: its settings describe no model of this version ({error}). Train the run again."
        ) from error
    if scheduled:
        kept = result_file.read(trained.path, only=[SCHEDULED])
        tensors = {n.removeprefix(SCHEDULED): torch.from_numpy(a) for n, a in kept.arrays.items()}
        set_weights(model, tensors, trained.path)
    else:
        load_weights(model, folder / WEIGHTS)
    set_decoding_arithmetic(model, arithmetic(settings))
    model.eval()
    return model, settings


def load_evaluator(folder: Path, with_prior: bool, scheduled: bool = False) -> Evaluator:
    """Return the evaluator of a trained run.

    Args:
        with_prior: whether to load the prior that was learnt over its codes.
        scheduled: with the weights at the end of the schedule instead of the final ones.

    Raises:
        StoreError: if the run is not trained or its files do not agree.
    """
    model, settings = load_model(folder, scheduled)
    return evaluator_of(
        model, settings, load_model(folder / PRIOR_FOLDER)[0] if with_prior else None
    )


def evaluate(inputs: Inputs, output: Path | None = None) -> None:
    """Measure a trained run, its weights before the continuation as well; write ``evaluation.h5`` and
    ``evaluation-cost.json``.

    Args:
        output: the folder to write to; by default that of the run.
    """
    started = time.perf_counter()
    with_prior = "prior" in inputs.evaluation
    evaluator = load_evaluator(inputs.folder, with_prior)
    settings = evaluator.settings
    prepare_process(settings["threads"])
    # a part that is missing, or of earlier settings, is no part of this
    part_key = inputs.shard_key()
    shards = inputs.shards if all(is_shard(path, part_key) for path in inputs.shards) else ()
    if len(shards) < len(inputs.shards):
        print(f"{settings['run']}: estimates the likelihood without its parts", file=sys.stderr)
    materials = Materials(
        inputs.data,
        inputs.evaluation,
        evaluator.model.binary,
        None if inputs.classifier is None else Classifier.read(inputs.classifier),
        shards,
    )
    arrays = _measured(evaluator, materials, inputs)
    if continuation_epochs(settings["training"]):
        scheduled = load_evaluator(inputs.folder, with_prior, scheduled=True)
        found = _measured(scheduled, materials.briefly(), inputs)
        arrays |= {f"{BEFORE}{name}": array for name, array in found.items() if is_claimed(name)}
    attributes = {
        "run": settings,
        "evaluation": inputs.evaluation,
        "key": inputs.key(),
        TRAINED: result_file.read(inputs.folder / HISTORY, only=()).attributes.get("key"),
        "provenance": provenance.describe(),
    }
    if classes := materials.classes:
        attributes[CLASSES] = classes
    seconds = time.perf_counter() - started
    seconds += sum(read_seconds(path.with_suffix(".json")) for path in shards)
    output = inputs.folder if output is None else output
    write_cost(output / EVALUATION_COST, seconds, len(materials.test.x), settings)
    result_file.write(output / EVALUATION, arrays, attributes)


def _measured(evaluator: Evaluator, materials: Materials, inputs: Inputs) -> dict[str, Any]:
    """Return the arrays of a model, labels and the objective of a learnt prior among them."""
    arrays = {"test/labels": materials.test.labels, **evaluator.arrays(materials)}
    if "prior" in inputs.evaluation:
        history = result_file.read(inputs.folder / PRIOR_FOLDER / HISTORY, only=["objective"])
        arrays[PRIOR_OBJECTIVE] = history["objective"]
    return arrays


def evaluate_shard(inputs: Inputs, shard: tuple[int, int], output: Path) -> None:
    """Estimate the likelihood of a part of the test images, before the continuation as well.

    Args:
        shard: ``(i, n)`` for the i-th of n parts.
        output: the file to write; the cost goes into the JSON file beside it.
    """
    started = time.perf_counter()
    model, settings = load_model(inputs.folder)
    prepare_process(settings["threads"])
    test = Materials(inputs.data, inputs.evaluation, model.binary).test
    arrays = likelihood_arrays(model, settings, test.x, inputs.evaluation, shard)
    if continuation_epochs(settings["training"]):
        scheduled, _ = load_model(inputs.folder, scheduled=True)
        found = likelihood_arrays(scheduled, settings, test.x, inputs.evaluation, shard)
        arrays |= {f"{BEFORE}{name}": array for name, array in found.items()}
    result_file.write(output, arrays, {"run": settings, "key": inputs.shard_key()})
    write_cost(output.with_suffix(".json"), time.perf_counter() - started, len(test.x), settings)
