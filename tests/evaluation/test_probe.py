"""Linear probes against scikit-learn, and fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from rungs.evaluation.probe import (
    KINDS,
    classify,
    draws_of,
    labelled,
    logistic_regression,
    principal_features,
    probe_arrays,
    scaled,
    tune,
)
from rungs.models.autoencoder import Autoencoder
from rungs.models.networks import initialise


def blobs(
    n: int, d: int, classes: int, seed: int = 0, apart: float = 1.2
) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    y = random.integers(0, classes, n)
    centres = apart * random.normal(size=(classes, d))
    return centres[y] + random.normal(size=(n, d)), y


@pytest.mark.parametrize(("n", "d"), [(300, 5), (40, 90)])
@pytest.mark.parametrize("penalty", [1e-3, 1e-1])
def test_the_probe_is_scikit_learns(n: int, d: int, penalty: float) -> None:
    """Fewer images than features as well, where the fit is done in their span."""
    x, y = blobs(n, d, 4)
    weights = logistic_regression(x, y, 4, penalty, tolerance=1e-9)
    reference = LogisticRegression(C=1 / (n * penalty), tol=1e-10, max_iter=20_000).fit(x, y)
    np.testing.assert_allclose(weights[:-1], reference.coef_.T, atol=2e-4)
    gaps = weights[-1] - reference.intercept_
    np.testing.assert_allclose(gaps, gaps.mean(), atol=2e-4)
    query, _ = blobs(500, d, 4, seed=1)
    predicted = (query @ weights[:-1] + weights[-1]).argmax(1)
    assert np.mean(predicted == reference.predict(query)) > 0.995


def test_classes_need_not_be_consecutive() -> None:
    x, y = blobs(400, 3, 3)
    names = np.array([7, 2, 9])
    assert np.mean(classify(x[:300], names[y[:300]], x[300:]) == names[y[300:]]) > 0.6


def test_labelled_images_are_balanced_and_drawn_anew() -> None:
    labels = np.repeat(np.arange(5), [3, 20, 20, 20, 20])
    random = np.random.default_rng(0)
    first, second = labelled(labels, 8, random), labelled(labels, 8, random)
    assert np.bincount(labels[first]).tolist() == [3, 8, 8, 8, 8]
    assert len(set(first)) == len(first)
    assert set(first) != set(second)
    assert draws_of(1000) == 1


def test_principal_features_are_scikit_learns() -> None:
    x, _ = blobs(200, 12, 3)
    query, _ = blobs(50, 12, 3, seed=1)
    own, other = principal_features(x, query, 4)
    reference = PCA(4).fit(x)
    np.testing.assert_allclose(np.abs(own), np.abs(reference.transform(x)), atol=1e-8)
    np.testing.assert_allclose(np.abs(other), np.abs(reference.transform(query)), atol=1e-8)
    train, _ = scaled(x, query)
    assert np.square(train).sum(1).mean() == pytest.approx(1)


@dataclass
class Images:
    x: Tensor
    labels: np.ndarray


def code(model: Any, x: Tensor) -> Tensor:
    found: Tensor = model.encode(x)
    return found


@pytest.fixture(scope="module")
def task() -> tuple[Images, Images]:
    x, y = blobs(900, 60, 3, apart=0.4)
    images = torch.from_numpy(x).float()
    return Images(images[:600], y[:600]), Images(images[600:], y[600:])


def model_of(task: tuple[Images, Images], good: bool) -> Autoencoder:
    """An encoder that gives the distances to the class means, or noise."""
    model = Autoencoder(60, [3], [16], linear=True)
    initialise(model, torch.Generator().manual_seed(0))
    if good:
        x, labels = task[0].x, torch.from_numpy(task[0].labels)
        centres = torch.stack([x[labels == c].mean(0) for c in range(3)])
        with torch.no_grad():
            model.code_outputs.weight.copy_(centres)
    return model


def test_probe_arrays(task: tuple[Images, Images]) -> None:
    model = model_of(task, good=True)
    before = {name: p.clone() for name, p in model.named_parameters()}
    arrays = probe_arrays(model, code, *task, labels=[2, 100], seed=0)
    assert set(arrays) == {f"probe/{n}/{k}" for n in (2, 100) for k in (*KINDS, "count")}
    assert int(arrays["probe/2/count"]) == 6
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    accuracy = {name: float(array.mean()) for name, array in arrays.items()}
    # two labels a class: three good features are worth more than sixty pixels
    assert accuracy["probe/2/encoder"] > accuracy["probe/2/pixels"] + 0.02
    assert accuracy["probe/2/finetuned"] > accuracy["probe/2/random"]
    assert all(accuracy[f"probe/100/{k}"] > 0.85 for k in ("encoder", "pixels", "finetuned"))
    again = probe_arrays(model, code, *task, labels=[2], seed=0)
    assert all(np.array_equal(again[name], arrays[name]) for name in again)
    # an encoder without use is no better than pixels
    useless = probe_arrays(model_of(task, good=False), code, *task, labels=[100], seed=0)
    assert useless["probe/100/encoder"].mean() < accuracy["probe/100/pixels"]


def test_tuning_learns_what_is_labelled(task: tuple[Images, Images]) -> None:
    train, _ = task
    rows = np.arange(30)
    model = model_of(task, good=False)
    found = tune(
        model,
        code,
        train.x[rows],
        train.labels[rows],
        train.x[rows],
        torch.Generator().manual_seed(1),
    )
    assert np.mean(found == train.labels[rows]) > 0.95
