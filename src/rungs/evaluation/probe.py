"""Probes of an encoder as the feature map of a supervised model.

The encoder is frozen below a linear classifier, or its weights are the initial weights of a network that
is trained further. Every way of classifying sees the same labelled images and has the same recipe, and
nothing is chosen on the test images. The linear classifier is a multinomial logistic regression with an
L2 penalty that cross-validation chooses among five. Features are centred and divided by one number, both
computed on the unlabelled training images, so that their mean squared norm is 1.

The smallest number of labels, which differs most between draws of labelled images, has
:data:`MOST_DRAWS` draws; training two networks 20 times is most of the cost. The others have fewer draws,
which their many images make up for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.evaluation.fine_tuning import FineTuning
from rungs.evaluation.logistic_regression import classify
from rungs.evaluation.principal_components import as_features, principal_axes, row_blocks
from rungs.evaluation.splits import Split
from rungs.models.networks import initialise
from rungs.numerics.seeds import derive_seed, generator

#: draws of the smallest number of labels; of others so many that each class has this number of labels in
#: all, at least one and at most five
MOST_DRAWS, LABELS_IN_ALL, SOME_DRAWS = 20, 50, 5
#: the ways, in the order of the table
KINDS = ("encoder", "grey", "pca", "finetuned", "random")
#: those that do not depend on the weights of the run
WEIGHTLESS = ("grey", "pca", "random")


def draws_of(labels: int, smallest: int) -> int:
    """Return the number of draws of labelled images.

    Args:
        smallest: of the numbers of labels a class.

    >>> [draws_of(n, 1) for n in (1, 10, 25, 100)]
    [20, 5, 2, 1]
    """
    if labels == smallest:
        return MOST_DRAWS
    return min(SOME_DRAWS, max(1, LABELS_IN_ALL // labels))


def labelled(labels: np.ndarray, each: int, random: np.random.Generator) -> np.ndarray:
    """Return the indices of ``each`` images of every class, or of all there are, in random order."""
    parts = [
        random.permutation(np.flatnonzero(labels == label))[:each] for label in np.unique(labels)
    ]
    return random.permutation(np.concatenate(parts))


def probe_arrays(
    model: Any,
    code: Callable[[Any, Tensor], Tensor],
    train: Split,
    test: Split,
    grey: tuple[Tensor, Tensor],
    labels: list[int],
    seed: int,
    known: dict[str, np.ndarray],
) -> dict[str, Any]:
    """Classify the test images from each number of labels a class, in each of the ways :data:`KINDS`.

    Args:
        code: returns the features ``[n, units]`` of a model and images.
        train, test: the images as the model takes them.
        grey: the same images as intensities, ``[n, pixels]`` each.
        labels: numbers of labels a class.
        known: the arrays of :data:`WEIGHTLESS` ways that another evaluation of the same run has found, or
            none; those that are found are added.

    Returns:
        ``probe/<labels>/correct/<kind>``, whether each test image was classified rightly in each draw of
        labelled images, bool ``[draws, n]``, and ``probe/<labels>/count``, the number of labelled images
        of all classes. The draws are those of the other kinds.
    """
    with torch.no_grad():
        own = [code(model, split.x).numpy().astype(np.float64) for split in (train, test)]
    features = {"encoder": scaled(*own)}
    if not known:
        features |= _fixed_features(train, test, grey, own[0].shape[1])
    arrays: dict[str, Any] = {}
    for each in labels:
        random = np.random.default_rng(derive_seed(seed, f"probe {each}"))
        correct: dict[str, list[np.ndarray]] = {}
        count = 0
        tuning: FineTuning | None = None
        for draw in range(draws_of(each, min(labels))):
            rows = labelled(train.labels, each, random)
            count = len(rows)
            y = train.labels[rows]
            if tuning is None:
                tuning = FineTuning(model, code, train.x[rows], y)
            for kind, (x, query) in features.items():
                correct.setdefault(kind, []).append(classify(x[rows], y, query) == test.labels)
            purpose = f"probe {each} {draw}"
            starts = {"finetuned": model}
            if not known:
                starts["random"] = reset(model, seed, purpose)
            for kind, start in starts.items():
                random_batches = generator(seed, purpose)
                predicted = tuning.predict(start, train.x[rows], y, test.x, random_batches)
                correct.setdefault(kind, []).append(predicted == test.labels)
        for kind, found in correct.items():
            arrays[f"probe/{each}/correct/{kind}"] = np.array(found)
        arrays[f"probe/{each}/count"] = np.array(count)
    if not known:
        known.update({n: a for n, a in arrays.items() if n.rpartition("/")[2] in WEIGHTLESS})
    return arrays | known


def _fixed_features(
    train: Split, test: Split, grey: tuple[Tensor, Tensor], units: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the features that do not depend on the run: intensities, and principal components."""
    pixels = [as_features(split.x) for split in (train, test)]
    centre, axes = principal_axes(pixels[0], units)
    projected = [
        np.concatenate([(x[rows] - centre) @ axes for rows in row_blocks(x)]) for x in pixels
    ]
    del pixels
    return {"grey": scaled(*map(as_features, grey)), "pca": scaled(*projected)}


def scaled(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and scale both by the mean and the total variance of the first; their types remain."""
    centre = train.mean(0, dtype=np.float64)
    squares = [np.square(train[rows] - centre).sum(1) for rows in row_blocks(train)]
    scale = np.sqrt(max(np.concatenate(squares).mean(), 1e-12))

    def apply(x: np.ndarray) -> np.ndarray:
        found = np.empty_like(x)
        for rows in row_blocks(x):
            found[rows] = (x[rows] - centre) / scale
        return found

    return apply(train), apply(test)


def reset(model: Any, seed: int, purpose: str) -> Any:
    """Return a copy of a model with freshly drawn weights."""
    fresh = copy.deepcopy(model)
    initialise(fresh, generator(seed, f"{purpose} weights"))
    return fresh
