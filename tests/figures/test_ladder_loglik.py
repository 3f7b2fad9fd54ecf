"""The gains of the steps in the figure of bounds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rungs.figures.ladder_loglik import _gain, draw


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


@pytest.mark.parametrize(
    ("variants", "panels"), [(("vae", "lvae-bn-wu"), 3), (("vae", "vae-bn"), 4)]
)
def test_gains_have_a_panel_only_where_a_variant_and_the_one_before_it_are_there(
    variants: tuple[str, ...], panels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own data with two variants of the ladder gave an empty panel."""
    columns = {"dataset": "mine", "depth": 2, "k": 5, "converged": True, "published": np.nan}
    numbers = {"train_elbo": -1.0, "test_elbo": -2.0, "test_lk": -1.5}
    table = pd.DataFrame([columns | numbers | {"variant": each} for each in variants])
    bounds = {("mine", each, 2): {0: np.array([-1.0, -2.0])} for each in variants}
    monkeypatch.setattr("rungs.figures.ladder_loglik.loglik.make", lambda files: table)
    monkeypatch.setattr("rungs.figures.ladder_loglik._bounds", lambda files: bounds)
    figure = draw({}, {"width": 7, "panel_height": 2})
    assert len([axis for axis in figure.axes if axis.has_data()]) == len(figure.axes) == panels
