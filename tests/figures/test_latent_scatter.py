"""The ellipses of the figure ``latent_scatter``."""

from __future__ import annotations

import numpy as np
import pytest

from rungs.figures.latent_scatter import ellipse


def test_ellipses_are_of_one_sigma() -> None:
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    width, height, degrees = ellipse(turn @ np.diag([0.09, 0.01]) @ turn.T)
    assert (width, height) == (pytest.approx(0.3), pytest.approx(0.1))
    assert degrees == pytest.approx(np.degrees(angle))
