"""When a run counts as converged."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rungs.evaluation.convergence import converged, criterion, gain, tolerance
from rungs.storage.result_file import Stored


def trained(
    history: Any,
    epochs: int,
    continuation: float = 0.2,
    model: str = "vae",
    network: Any = None,
    name: str = "elbo",
) -> Stored:
    recipe = {"epochs": epochs, "continuation": continuation}
    run = {"model": model, "network": network or {}, "training": recipe}
    arrays = {name: np.asarray(history, dtype=np.float64)}
    return Stored(Path(), arrays, {"run": run, "pixels": 784})


def test_the_gain_is_that_of_the_continuation() -> None:
    """Means of three epochs at both ends."""
    history = [-200.0, -150, -130, -121, -120, -119, -118.7, -118.4, -118.5, -118.3, -118.4, -118.2]
    found = trained(history, 8, 0.5)
    assert gain(found) == pytest.approx((-118.3 - 118.4 - 118.2) / 3 - (-119 - 118.7 - 118.4) / 3)
    assert converged(found) is True


def test_annealing_alone_does_not_make_a_run_converged() -> None:
    """The schedule ends flat, and the continuation still gains: by more than 0.5 nats or not."""
    flat = np.concatenate([np.linspace(-200, -100, 50), np.full(50, -100.0)])
    for rise, expected in ((0.49, True), (0.51, False), (-3.0, True)):
        history = np.concatenate([flat, np.full(20, -100.0 + rise)])
        assert converged(trained(history, 100)) is expected


def test_without_continuation_nothing_is_known() -> None:
    assert gain(trained(np.full(100, -100.0), 100, 0.0)) is None
    assert converged(trained(np.full(100, -100.0), 100, 0.0)) is None


def test_few_epochs_are_compared_with_as_many() -> None:
    assert gain(trained([-5.0, -4.0, -3.0, -1.0], 3)) == pytest.approx(2.0)
    assert gain(trained([-5.0, -1.0, -2.0], 1, 2.0)) == pytest.approx(3.0)


def test_a_run_that_diverges_is_not_converged() -> None:
    assert converged(trained([-5.0, math.nan], 1)) is False


def test_data_of_256_values_are_counted_in_bits() -> None:
    """0.001 bits a dimension are 0.54 nats an image of 784 values."""
    limit = 0.001 * 784 * math.log(2)
    assert tolerance(trained([0.0], 1)) == 0.5
    assert tolerance(trained([0.0], 1, model="vaegan")) == 0.5
    assert tolerance(trained([0.0], 1, model="single", network={"likelihood": "bernoulli"})) == 0.5
    for model, network in (
        ("vq", {"vq": {"likelihood": "dimension"}}),
        ("conv-vae", {}),
        ("single", {"likelihood": "logistic"}),
    ):
        found = trained([0.0, 0.52], 1, model=model, network=network)
        assert tolerance(found) == pytest.approx(limit)
        assert converged(found) is True
        assert converged(trained([0.0, 0.55], 1, model=model, network=network)) is False


def test_a_run_is_judged_by_the_bound_that_it_trains() -> None:
    """The ELBO of an importance weighted run falls while its own bound rises."""
    found = trained([-100.0, -101.0], 1)
    own = Stored(
        Path(), found.arrays | {"trained_bound": np.array([-99.0, -98.0])}, found.attributes
    )
    assert (criterion(found), criterion(own)) == ("elbo", "trained_bound")
    assert (converged(found), converged(own)) == (True, False)
    assert criterion(trained([1.0], 1, name="objective")) == "objective"
