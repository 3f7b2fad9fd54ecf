"""The gains of the steps in the figure of bounds."""

from __future__ import annotations

import numpy as np
import pytest

from rungs.figures.ladder_loglik import _gain


def test_gains_are_paired_by_seed_and_image() -> None:
    """Three seeds whose differences are 1, 2 and 3, on images that differ by far more."""
    images = np.linspace(-200, -50, 40)
    before = dict.fromkeys((0, 1, 2), images)
    mean, half, seeds = _gain({seed: images + seed + 1 for seed in (0, 1, 2)}, before)
    assert (mean, seeds) == (pytest.approx(2), 3)
    assert half == pytest.approx(
        4.302653 / np.sqrt(3), rel=1e-5
    )  # Student's t of two degrees of freedom


def test_one_seed_has_the_error_over_images() -> None:
    noise = np.tile([-1.0, 1.0], 50)
    mean, half, seeds = _gain({0: noise}, {0: np.zeros(100), 1: np.zeros(100)})
    assert (mean, seeds) == (pytest.approx(0), 1)
    assert half == pytest.approx(2 * noise.std(ddof=1) / 10)
