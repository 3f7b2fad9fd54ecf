"""When a run counts as converged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rungs.evaluation.convergence import converged, movement
from rungs.storage import result_file


def test_convergence_is_the_movement_over_the_last_tenth() -> None:
    def of(elbo: np.ndarray) -> result_file.Stored:
        return result_file.Stored(Path(), {"elbo": elbo}, {})

    rising = np.linspace(-200, -100, 100)
    assert movement(rising) == pytest.approx(10 * 100 / 99)
    assert not converged(of(rising))
    settled = np.concatenate([rising, np.full(100, -100.0)])
    assert converged(of(settled + np.random.default_rng(0).normal(0, 0.1, 200)))
    assert not converged(of(np.full(19, -100.0))), "too short to tell"
