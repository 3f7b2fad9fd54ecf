"""The schedules of a training."""

from __future__ import annotations

from rungs.training.schedules import kl_weight


def test_warm_up() -> None:
    assert kl_weight(0, False, 10) == 1
    assert [kl_weight(e, True, 10) for e in (0, 5, 10, 100)] == [0, 0.5, 1, 1]
