"""Probes of good and useless encoders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from blobs import blobs
from rungs.claims.arrays import LABEL_DRAWS
from rungs.evaluation import probe
from rungs.evaluation.logistic_regression import classify
from rungs.evaluation.probe import (
    KINDS,
    MOST_DRAWS,
    WEIGHTLESS,
    draws_of,
    labelled,
    probe_arrays,
    scaled,
)
from rungs.evaluation.splits import Split
from rungs.models.autoencoder import Autoencoder
from rungs.models.networks import initialise
from rungs.numerics.seeds import derive_seed


def test_labelled_images_are_balanced_and_drawn_anew() -> None:
    labels = np.repeat(np.arange(5), [3, 20, 20, 20, 20])
    random = np.random.default_rng(0)
    first, second = labelled(labels, 8, random), labelled(labels, 8, random)
    assert np.bincount(labels[first]).tolist() == [3, 8, 8, 8, 8]
    assert len(set(first)) == len(first)
    assert set(first) != set(second)
    assert draws_of(1000, 10) == 1
    assert draws_of(1000, 1000) == 20


def test_scaled_features_have_a_mean_squared_norm_of_one() -> None:
    x, _ = blobs(200, 12, 3)
    train, _ = scaled(x, x[:50])
    assert np.square(train).sum(1).mean() == pytest.approx(1)
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-12)


def code(model: Any, x: Tensor) -> Tensor:
    found: Tensor = model.encode(x)
    return found


@pytest.fixture(scope="module")
def task() -> tuple[Split, Split]:
    x, y = blobs(900, 60, 3, apart=0.4)
    images = torch.from_numpy(x).float()
    return Split(images[:600], y[:600]), Split(images[600:], y[600:])


def model_of(task: tuple[Split, Split], good: bool) -> Autoencoder:
    """An encoder that gives the distances to the class means, or noise."""
    model = Autoencoder(60, [3], [16], linear=True)
    initialise(model, torch.Generator().manual_seed(0))
    if good:
        x, labels = task[0].x, torch.from_numpy(task[0].labels)
        centres = torch.stack([x[labels == c].mean(0) for c in range(3)])
        with torch.no_grad():
            model.code_outputs.weight.copy_(centres)
    return model


def test_probe_arrays(task: tuple[Split, Split], monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(task, good=True)
    before = {name: p.clone() for name, p in model.named_parameters()}
    assert MOST_DRAWS >= LABEL_DRAWS
    monkeypatch.setattr(probe, "MOST_DRAWS", 5)
    train, test = task
    grey = train.x, test.x
    arrays = probe_arrays(model, code, *task, grey, labels=[2, 100], seed=0, known={})
    names = [*(f"correct/{kind}" for kind in KINDS), "count"]
    assert set(arrays) == {f"probe/{n}/{name}" for n in (2, 100) for name in names}
    assert {arrays[f"probe/2/correct/{kind}"].shape for kind in KINDS} == {(5, 300)}
    assert {arrays[f"probe/100/correct/{kind}"].shape for kind in KINDS} == {(1, 300)}
    # a draw of the frozen kinds, again by itself
    draws = np.random.default_rng(derive_seed(0, "probe 2"))
    rows = [labelled(train.labels, 2, draws) for _ in range(5)][4]
    own = scaled(*(x.double().numpy() for x in grey))
    predicted = classify(own[0][rows], train.labels[rows], own[1])
    np.testing.assert_array_equal(arrays["probe/2/correct/grey"][4], predicted == test.labels)
    assert int(arrays["probe/2/count"]) == 6
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    accuracy = {name.replace("correct/", ""): float(a.mean()) for name, a in arrays.items()}
    # two labels a class: three good features are worth more than sixty pixels
    assert accuracy["probe/2/encoder"] > accuracy["probe/2/grey"] + 0.02
    assert accuracy["probe/2/finetuned"] > accuracy["probe/2/random"]
    assert all(accuracy[f"probe/100/{k}"] > 0.85 for k in ("encoder", "grey", "finetuned"))
    monkeypatch.setattr(probe, "MOST_DRAWS", 2)
    again = probe_arrays(model, code, *task, grey, labels=[2], seed=0, known={})
    assert all(
        np.array_equal(again[name], arrays[name][:2] if "correct" in name else arrays[name])
        for name in again
    )
    # an encoder without use is no better than pixels
    # a second evaluation of the run takes over what does not depend on its weights
    known: dict[str, np.ndarray] = {}
    probe_arrays(model_of(task, good=False), code, *task, grey, labels=[2], seed=0, known=known)
    assert {name.rpartition("/")[2] for name in known} == set(WEIGHTLESS)
    taken = probe_arrays(model, code, *task, grey, labels=[2], seed=0, known=known)
    assert all(np.array_equal(taken[name], again[name]) for name in again)
    useless = probe_arrays(
        model_of(task, good=False), code, *task, grey, labels=[100], seed=0, known={}
    )
    assert useless["probe/100/correct/encoder"].mean() < accuracy["probe/100/grey"]


def test_grey_images_are_probed_beside_what_the_model_takes(
    task: tuple[Split, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the kind ``grey`` sees the intensities."""
    monkeypatch.setattr(probe, "MOST_DRAWS", 2)
    model, grey = model_of(task, good=True), tuple(split.x for split in task)
    blank = tuple(torch.zeros_like(x) for x in grey)
    seen, unseen = (
        probe_arrays(model, code, *task, x, labels=[2], seed=0, known={}) for x in (grey, blank)
    )
    for kind in KINDS:
        name = f"probe/2/correct/{kind}"
        assert np.array_equal(seen[name], unseen[name]) == (kind != "grey")
