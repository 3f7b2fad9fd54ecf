"""The schedules of a training."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rungs.training.schedules import (
    continuation_epochs,
    continuation_recipe,
    epoch_kl_weight,
    kl_weight,
    learning_rate,
    stage_factor,
    step_rate,
    total_epochs,
)


def test_warm_up() -> None:
    assert kl_weight(0, False, 10) == 1
    assert [kl_weight(e, True, 10) for e in (0, 5, 10, 100)] == [0, 0.5, 1, 1]


def test_a_constant_rate_needs_no_schedule() -> None:
    assert {learning_rate(step, 10, 0.3, 0.0) for step in range(10)} == {0.3}


def test_the_rate_rises_stays_and_falls() -> None:
    rates = [learning_rate(step, 100, 2.0, 0.5, 0.1) for step in range(101)]
    assert rates[:10] == pytest.approx([2 * (step + 1) / 11 for step in range(10)])
    assert set(rates[10:51]) == {2.0}
    assert rates[75] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.0)
    assert rates[50:] == sorted(rates[50:], reverse=True)


def test_a_rise_within_the_annealing_multiplies_it() -> None:
    """Annealed over all steps, the first tenth rises as well."""
    for step in range(100):
        cosine = 0.5 * (1 + math.cos(math.pi * step / 100))
        ramp = min(1.0, (step + 1) / 11)
        assert learning_rate(step, 100, 2.0, 1.0, 0.1) == pytest.approx(2 * cosine * ramp)


def test_the_stages_of_burda() -> None:
    """3^i epochs at a rate of 0.001 * 10^(-i/7), i = 0 to 7: 3,280 epochs in all."""
    batches, start = 7, 0
    for i in range(8):
        epochs = range(start, start + 3**i)
        for epoch in {epochs[0], epochs[-1]}:
            for step in (epoch * batches, (epoch + 1) * batches - 1):
                rate = 0.001 * stage_factor(step, 3280 * batches, 8, 3, 0.1)
                assert rate == pytest.approx(0.001 * 10 ** (-i / 7)), (i, epoch)
        start += 3**i
    assert start == 3280


def test_stages_keep_their_proportions_in_a_shorter_training() -> None:
    factors = [stage_factor(step, 70, 3, 2, 0.01) for step in range(70)]
    assert factors == pytest.approx(10 * [1.0] + 20 * [0.1] + 40 * [0.01])
    assert {stage_factor(step, 9, 1, 3, 0.1) for step in range(9)} == {1.0}
    assert [stage_factor(step, 4, 2, 1, 0.5) for step in range(4)] == [1.0, 1.0, 0.5, 0.5]


def recipe(**changes: Any) -> Any:
    schedule = {
        "epochs": 10,
        "continuation": 0.2,
        "learning_rate": 0.3,
        "rise": 0.1,
        "stages": None,
    }
    warm_up = {"warm_up": True, "warm_up_epochs": 20}
    return schedule | warm_up | {"annealing": 0.5} | changes


@pytest.mark.parametrize(
    ("epochs", "share", "expected"),
    [(10, 0.2, 2), (1, 0.2, 1), (2, 0.01, 1), (7, 1.0, 7), (9, 0, 0)],
)
def test_the_continuation_is_a_share_of_the_epochs(
    epochs: int, share: float, expected: int
) -> None:
    changed = recipe(epochs=epochs, continuation=share)
    assert continuation_epochs(changed) == expected
    assert total_epochs(changed) == epochs + expected


def test_the_rate_restarts_at_a_third_and_falls_to_0() -> None:
    """Five batches an epoch: 50 steps of the schedule, 10 of the continuation."""
    rates = [step_rate(recipe(), step, 5) for step in range(60)]
    alone = [step_rate(recipe(continuation=0.0), step, 5) for step in range(50)]
    assert rates[:50] == alone
    assert alone == [learning_rate(step, 50, 0.3, 0.5, 0.1) for step in range(50)]
    expected = [0.1 * 0.5 * (1 + math.cos(math.pi * step / 10)) for step in range(10)]
    assert rates[50:] == pytest.approx(expected)


def test_the_kl_term_has_its_whole_weight_in_the_continuation() -> None:
    """However far the warm-up has come in the schedule."""
    weights = [epoch_kl_weight(recipe(), epoch) for epoch in range(12)]
    assert weights == [epoch / 20 for epoch in range(10)] + [1, 1]
    assert epoch_kl_weight(recipe(warm_up=False), 0) == 1


def test_a_training_can_be_as_a_continuation() -> None:
    found = continuation_recipe(recipe(batch_size=7))
    assert (total_epochs(found), found["batch_size"]) == (2, 7)
    assert [step_rate(found, step, 5) for step in range(10)] == [
        step_rate(recipe(), 50 + step, 5) for step in range(10)
    ]
    assert [epoch_kl_weight(found, epoch) for epoch in range(2)] == [1, 1]
