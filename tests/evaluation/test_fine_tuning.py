"""Networks that are trained from an encoder on labelled images."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from blobs import blobs
from rungs.evaluation import fine_tuning
from rungs.evaluation.fine_tuning import ADAM, STEPS, FineTuning
from rungs.models.autoencoder import Autoencoder
from rungs.models.networks import collect_statistics, initialise


def code(model: Any, x: Tensor) -> Tensor:
    found: Tensor = model.encode(x)
    return found


@pytest.fixture(params=[False, True], ids=["plain", "batch-norm"])
def model(request: pytest.FixtureRequest) -> Autoencoder:
    model = Autoencoder(60, [4], [16], request.param)
    initialise(model, torch.Generator().manual_seed(3))
    return model.eval()


def images() -> tuple[Tensor, np.ndarray, Tensor]:
    x, y = blobs(600, 60, 3, apart=0.4)
    return torch.from_numpy(x[:30]).float(), y[:30], torch.from_numpy(x[30:]).float()


def as_torch_trains(
    start: Any, x: Tensor, y: np.ndarray, query: Tensor, random: torch.Generator
) -> np.ndarray:
    """The same training by torch's own optimiser, step by step."""
    network, output = copy.deepcopy(start).train(), nn.Linear(4, 3)
    nn.init.zeros_(output.weight)
    nn.init.zeros_(output.bias)
    rate, epsilon = ADAM["learning_rate"], ADAM["adam_epsilon"]
    parameters = [*network.parameters(), *output.parameters()]
    optimiser = torch.optim.Adam(parameters, rate, eps=epsilon, fused=True)
    for _ in range(STEPS):
        chosen = torch.randperm(len(x), generator=random)
        logits = output(code(network, x[chosen]))
        loss = functional.cross_entropy(logits, torch.from_numpy(y)[chosen])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    collect_statistics(network, [x], network.encode)
    with torch.no_grad():
        return np.asarray(output(code(network.eval(), query)).argmax(1))


def test_a_network_learns_what_is_labelled(model: Autoencoder) -> None:
    x, y, _ = images()
    found = FineTuning(model, code, x, y).predict(model, x, y, x, torch.Generator().manual_seed(1))
    assert np.mean(found == y) > 0.95


def test_it_is_trained_as_torch_would_train_it(model: Autoencoder) -> None:
    """The second training starts anew, and the start keeps its weights."""
    x, y, query = images()
    before = copy.deepcopy(model.state_dict())
    tuning = FineTuning(model, code, x, y)
    found = [
        tuning.predict(model, x, y, query, torch.Generator().manual_seed(seed))
        for seed in (2, 1, 2)
    ]
    expected = as_torch_trains(model, x, y, query, torch.Generator().manual_seed(1))
    assert np.mean(found[1] == expected) > 0.99  # other alignment in memory, other rounding
    assert np.array_equal(found[0], found[2])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_step_that_cannot_be_recorded_is_computed_as_it_is_written(
    model: Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, query = images()

    def fail(*_: object) -> object:
        raise fine_tuning.Unrecordable("no")

    def predicted() -> np.ndarray:
        return FineTuning(model, code, x, y).predict(
            model, x, y, query, torch.Generator().manual_seed(1)
        )

    recorded = predicted()
    monkeypatch.setattr("rungs.training.recorded_step.record", fail)
    assert np.array_equal(predicted(), recorded)
