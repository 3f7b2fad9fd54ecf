"""What is measured on a VAE/GAN: samples, reconstructions, components. It has no likelihood."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rungs.data.prepared import read_images
from rungs.evaluation.classifier import Classifier
from rungs.evaluation.pictures import PICTURES, as_bytes
from rungs.evaluation.single_layer import (
    component_arrays,
    interpolation_arrays,
    sample_arrays,
    samples,
)
from rungs.evaluation.standard import (
    COST_FILE,
    Split,
    evaluation_key,
    load_model,
)
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.study import provenance
from rungs.training.trainer import write_cost


@torch.no_grad()
def evaluate(
    folder: Path,
    data: Path,
    settings: dict[str, Any],
    output: Path | None = None,
    shards: Sequence[Path] = (),
    *,
    classifier: Path | None = None,
) -> None:
    """Measure a trained run; writes ``evaluation.h5`` and ``evaluation-cost.json``.

    Args:
        shards: none: there is no likelihood to share out.
        classifier: the data set's, None where it has no labels.
    """
    started = time.perf_counter()
    model, spec = load_model(folder)
    prepare_process(spec["threads"])
    judge = None if classifier is None else Classifier.read(classifier)
    test = Split.read(data, "test", settings["images"], binary=False)
    average = read_images(data, "train").reshape(-1, test.x.shape[1]).mean(0) / 255
    originals = test.x[:PICTURES]
    rows = settings["chunk_rows"]
    arrays = {
        "test/labels": test.labels,
        "average/train": average.astype(np.float32),
        "pictures/samples": as_bytes(samples(model, PICTURES, spec["seed"], rows)),
        "pictures/originals": as_bytes(originals),
        "pictures/reconstructions": as_bytes(model.decode(model.encode(originals)[0].mean)),
        **sample_arrays(model, spec, test.x, judge, rows),
        **interpolation_arrays(model, test),
        **component_arrays(model, test, judge),
    }
    attributes = {
        "run": spec,
        "evaluation": settings,
        "key": evaluation_key(folder, data, settings, classifier),
        "provenance": provenance.describe(),
    }
    output = folder if output is None else output
    write_cost(output / COST_FILE, time.perf_counter() - started, len(test.x), spec)
    result_file.write(output / "evaluation.h5", arrays, attributes)
