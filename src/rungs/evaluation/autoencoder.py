"""What is measured on a plain autoencoder, which has no likelihood.

======================================  ===========================================================
array                                   what it is; n is the number of test images
======================================  ===========================================================
``test/labels``                         ``[n]``
``autoencoder/squared_error``           ``|x - g(f(x))|^2`` of each test image, ``[n]``
``autoencoder/rotated_squared_error``   the same of the test images turned by a right angle (by two if
                                        they are not square), of which training showed none: an
                                        identity returns them as well
``autoencoder/pca_squared_error``       of as many principal components of the training images
``layers/1/code``                       the codes, ``[n, units]``, of at most 100 units
``pictures/...``                        uint8: ``originals``, ``reconstructions``, ``rotated``,
                                        ``rotated_reconstructions``, ``samples`` of N(0, I), ``fitted``
``frechet/...``, ``samples/...``        see :mod:`rungs.evaluation.single_layer`, and
                                        :mod:`rungs.evaluation.latent_space`
``probe/...``                           see :mod:`rungs.evaluation.probe`
======================================  ===========================================================
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.data import shape_of
from rungs.evaluation.classifier import Classifier
from rungs.evaluation.latent_space import MOST_FITTED, fitted_arrays, plane_arrays
from rungs.evaluation.pictures import PICTURES, as_bytes
from rungs.evaluation.probe import probe_arrays
from rungs.evaluation.single_layer import sample_arrays, samples
from rungs.evaluation.standard import COST_FILE, Split, evaluation_key, load_model
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.study import provenance
from rungs.training.trainer import write_cost


def evaluate(
    folder: Path,
    data: Path,
    settings: dict[str, Any],
    output: Path | None = None,
    shards: Sequence[Path] = (),
    *,
    classifier: Path | None = None,
) -> None:
    """Measure a trained run; see :func:`rungs.evaluation.standard.evaluate`. ``shards`` is without
    use: there is no likelihood. ``classifier`` is None for a data set without labels."""
    started = time.perf_counter()
    model, spec = load_model(folder)
    prepare_process(spec["threads"])
    test, train = (
        Split.read(data, split, settings[key], binary=False)
        for split, key in (("test", "images"), ("train", "train_images"))
    )
    judge = None if classifier is None else Classifier.read(classifier)
    seed, units = spec["seed"], model.latent_sizes[0]
    with torch.no_grad():
        codes, test_codes = model.encode(train.x), model.encode(test.x)
    arrays = {
        "test/labels": test.labels,
        **error_arrays(model, train.x, test.x, list(shape_of(spec))),
        **sample_arrays(model, spec, test.x, judge, settings["chunk_rows"]),
        **fitted_arrays(model.decode, codes, test_codes, test.x, judge, seed),
        **plane_arrays(model, test_codes[0]),
        "pictures/samples": as_bytes(samples(model, len(test.x), seed, 1000)[:PICTURES]),
    }
    if units <= MOST_FITTED:
        arrays["layers/1/code"] = test_codes.numpy()
    if test.labelled and units in settings.get("probe_latents", ()):
        arrays |= probe_arrays(model, code_of, train, test, settings["probe_labels"], seed)
    attributes = {
        "run": spec,
        "evaluation": settings,
        "key": evaluation_key(folder, data, settings, classifier),
        "provenance": provenance.describe(),
    }
    output = folder if output is None else output
    write_cost(output / COST_FILE, time.perf_counter() - started, len(test.x), spec)
    result_file.write(output / "evaluation.h5", arrays, attributes)


def code_of(model: Any, x: Tensor) -> Tensor:
    """The code of ``x [n, pixels]``, ``[n, units]``."""
    code: Tensor = model.encode(x)
    return code


@torch.no_grad()
def error_arrays(model: Any, train: Tensor, test: Tensor, shape: list[int]) -> dict[str, Any]:
    """Errors of reconstruction, and pictures of some.

    Args:
        shape: of an image, ``[height, width]`` or ``[height, width, channels]``.
    """
    turns = 1 if shape[0] == shape[1] else 2
    rotated = torch.rot90(test.reshape(-1, *shape), turns, (1, 2)).flatten(1)

    def error(x: Tensor) -> np.ndarray:
        return np.asarray((model.outputs(model.encode(x)) - x).square().sum(1).numpy())

    def reconstructed(x: Tensor) -> np.ndarray:
        return as_bytes(model.decode(model.encode(x[:PICTURES])))

    return {
        "autoencoder/squared_error": error(test),
        "autoencoder/rotated_squared_error": error(rotated),
        "autoencoder/pca_squared_error": pca_error(train, test, model.latent_sizes[0]),
        "pictures/originals": as_bytes(test[:PICTURES]),
        "pictures/reconstructions": reconstructed(test),
        "pictures/rotated": as_bytes(rotated[:PICTURES]),
        "pictures/rotated_reconstructions": reconstructed(rotated),
    }


def pca_error(train: Tensor, test: Tensor, components: int) -> np.ndarray:
    """Squared error of each test image's projection on the training images' first principal
    components, ``[n]``: no linear autoencoder of this size has less over the training images."""
    x, query = train.numpy().astype(np.float64), test.numpy().astype(np.float64)
    centre = x.mean(0)
    _, vectors = np.linalg.eigh(np.cov(x - centre, rowvar=False))
    axes = vectors[:, ::-1][:, :components]
    left = query - centre
    return np.asarray(np.square(left - left @ axes @ axes.T).sum(1))
