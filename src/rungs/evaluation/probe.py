"""Probes of an encoder as the feature map of a supervised model.

The encoder is frozen below a linear classifier, or its weights are the initial weights of a network that
is trained further. Every way of classifying sees the same labelled images and has the same recipe, and
nothing is chosen on the test images. The linear classifier is a multinomial logistic regression with an
L2 penalty that cross-validation chooses among five. Features are centred and divided by one number, both
computed on the unlabelled training images, so that their mean squared norm is 1.

Scikit-learn's ``LogisticRegression`` makes the same predictions on 1,000 test digits from 1, 2, 10 and
100 labels a class (the test compares the weights), but it is not used: it leaves out classes that a fold
of cross-validation lacks, which happens with few labels; it penalises two classes twice as much as the
multinomial form does; it refuses a single class; and on 784 pixels it took 1.7 times as long.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from torch import Tensor, nn
from torch.nn import functional

from rungs.models.networks import collect_statistics, initialise
from rungs.numerics.seeds import derive_seed, generator

PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
FOLDS = 4
#: labelled images from which on one fold is enough to choose the penalty
ONE_FOLD = 500
#: draws of labelled images: so many that each class has this number of labels in all, at least one
#: and at most five
LABELS_IN_ALL, MOST_DRAWS = 50, 5
STEPS, BATCH, LEARNING_RATE = 300, 100, 1e-3
#: the ways, in the order of the table
KINDS = ("encoder", "pixels", "pca", "finetuned", "random")


def draws_of(labels: int) -> int:
    """Draws of labelled images over which a result is averaged: few labels differ much.

    >>> [draws_of(n) for n in (1, 10, 25, 100)]
    [5, 5, 2, 1]
    """
    return min(MOST_DRAWS, max(1, LABELS_IN_ALL // labels))


def labelled(labels: np.ndarray, each: int, random: np.random.Generator) -> np.ndarray:
    """Indices of ``each`` images of every class, or as many as there are, in random order."""
    parts = [
        random.permutation(np.flatnonzero(labels == label))[:each] for label in np.unique(labels)
    ]
    return random.permutation(np.concatenate(parts))


def probe_arrays(
    model: Any,
    code: Callable[[Any, Tensor], Tensor],
    train: Any,
    test: Any,
    labels: list[int],
    seed: int,
) -> dict[str, Any]:
    """For each number of labels a class, how each of :data:`KINDS` classifies the test images.

    Args:
        code: the features ``[n, units]`` of a model and images.
        train: and ``test``: :class:`rungs.evaluation.splits.Split`.
        labels: numbers of labels a class.

    Returns:
        ``probe/<labels>/<kind>``: the share of the draws in which each test image was classified
        rightly, ``[n]``; ``probe/<labels>/count``, the labelled images in all.
    """
    with torch.no_grad():
        own = [code(model, split.x).numpy().astype(np.float64) for split in (train, test)]
    pixels = [split.x.numpy().astype(np.float64) for split in (train, test)]
    features = {
        "encoder": scaled(*own),
        "pixels": scaled(*pixels),
        "pca": scaled(*principal_features(pixels[0], pixels[1], own[0].shape[1])),
    }
    arrays: dict[str, Any] = {}
    for each in labels:
        random = np.random.default_rng(derive_seed(seed, f"probe {each}"))
        correct: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
        count = 0
        for draw in range(draws_of(each)):
            rows = labelled(train.labels, each, random)
            count = len(rows)
            y = train.labels[rows]
            for kind, (x, query) in features.items():
                predicted = classify(x[rows], y, query)
                correct[kind].append(predicted == test.labels)
            purpose = f"probe {each} {draw}"
            for kind, start in (("finetuned", model), ("random", reset(model, seed, purpose))):
                random_batches = generator(seed, purpose)
                predicted = tune(start, code, train.x[rows], y, test.x, random_batches)
                correct[kind].append(predicted == test.labels)
        for kind, found in correct.items():
            arrays[f"probe/{each}/{kind}"] = np.mean(found, axis=0).astype(np.float32)
        arrays[f"probe/{each}/count"] = np.array(count)
    return arrays


def scaled(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both centred and scaled by the first's mean and total variance."""
    centre = train.mean(0)
    scale = np.sqrt(max(np.square(train - centre).sum(1).mean(), 1e-12))
    return (train - centre) / scale, (test - centre) / scale


def principal_features(
    train: np.ndarray, test: np.ndarray, components: int
) -> tuple[np.ndarray, np.ndarray]:
    """Projections of both on the first principal components of the first."""
    centre = train.mean(0)
    _, vectors = np.linalg.eigh(np.cov(train - centre, rowvar=False))
    axes = vectors[:, ::-1][:, :components]
    return (train - centre) @ axes, (test - centre) @ axes


def classify(x: np.ndarray, y: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Labels of ``query [m, d]`` by a logistic regression on ``x [n, d]``, ``y [n]``."""
    classes, targets = np.unique(y, return_inverse=True)
    if x.shape[1] > len(x):
        # the weights lie in the span of the images: an orthonormal basis of it changes nothing else
        basis = np.linalg.svd(x, full_matrices=False)[2].T
        x, query = x @ basis, query @ basis
    penalty = choose_penalty(x, targets)
    weights = logistic_regression(x, targets, len(classes), penalty)
    return np.asarray(classes[_logits(weights, query).argmax(1)])


def choose_penalty(x: np.ndarray, y: np.ndarray) -> float:
    """The penalty of the best log-likelihood in cross-validation; the larger of equals."""
    fold = np.arange(len(x)) % FOLDS
    classes = int(y.max()) + 1
    losses = np.zeros(len(PENALTIES))
    for i in range(1 if len(x) >= ONE_FOLD else FOLDS):
        weights: np.ndarray | None = None
        for j in reversed(range(len(PENALTIES))):
            kept = x[fold != i], y[fold != i], classes, PENALTIES[j]
            weights = logistic_regression(*kept, tolerance=1e-4, start=weights)
            losses[j] += _loss(weights, x[fold == i], y[fold == i])
    return PENALTIES[len(losses) - 1 - int(np.argmin(losses[::-1]))]


def _logits(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.asarray(x @ weights[:-1] + weights[-1])


def _loss(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Mean cross entropy, nats."""
    logits = _logits(weights, x)
    return float(np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]))


def logistic_regression(
    x: np.ndarray,
    y: np.ndarray,
    classes: int,
    penalty: float,
    tolerance: float = 1e-5,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Weights and, last, biases ``[d + 1, classes]`` that minimise the mean cross entropy plus
    ``penalty/2`` times the sum of squared weights (not of biases), by L-BFGS from ``start``, or 0."""
    rows, targets = np.arange(len(x)), np.eye(classes)[y]

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(-1, classes)
        logits = _logits(weights, x)
        total = logsumexp(logits, axis=1, keepdims=True)
        residual = (np.exp(logits - total) - targets) / len(x)
        gradient = np.vstack([x.T @ residual + penalty * weights[:-1], residual.sum(0)])
        loss = np.mean(total[:, 0] - logits[rows, y]) + penalty / 2 * np.square(weights[:-1]).sum()
        return float(loss), gradient.ravel()

    if start is None:
        start = np.zeros((x.shape[1] + 1, classes))
    options = {"maxiter": 500, "gtol": tolerance, "ftol": 1e-12}
    found = minimize(value, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x.reshape(-1, classes))


def reset(model: Any, seed: int, purpose: str) -> Any:
    """A copy of a model with freshly drawn weights."""
    fresh = copy.deepcopy(model)
    initialise(fresh, generator(seed, f"{purpose} weights"))
    return fresh


def tune(
    model: Any,
    code: Callable[[Any, Tensor], Tensor],
    x: Tensor,
    y: np.ndarray,
    query: Tensor,
    random: torch.Generator,
) -> np.ndarray:
    """Labels of ``query`` by a network of the encoder and a linear output (which starts at 0), all of
    it trained on ``x``, ``y`` by a fixed number of Adam's steps. The model itself stays as it is."""
    network = copy.deepcopy(model).train()
    classes, targets = np.unique(y, return_inverse=True)
    wanted = torch.from_numpy(targets)
    output = nn.Linear(model.latent_sizes[0], len(classes))
    nn.init.zeros_(output.weight)
    nn.init.zeros_(output.bias)
    optimiser = torch.optim.Adam([*network.parameters(), *output.parameters()], LEARNING_RATE)
    size = min(BATCH, len(x))
    for _ in range(STEPS):
        chosen = torch.randperm(len(x), generator=random)[:size]
        loss = functional.cross_entropy(output(code(network, x[chosen])), wanted[chosen])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    # the weights have moved, or are new: batch norm's test statistics with them
    collect_statistics(network, [x], lambda images: code(network, images))
    with torch.no_grad():
        return np.asarray(classes[output(code(network.eval(), query)).argmax(1).numpy()])
