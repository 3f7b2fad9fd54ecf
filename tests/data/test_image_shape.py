"""Shapes of images."""

from __future__ import annotations

import pytest

from rungs.data.image_shape import ImageShape


def test_shapes_that_are_none() -> None:
    for shape in ((28,), (30, 30), (5, 28, 28)):
        with pytest.raises(ValueError, match="images of shape"):
            ImageShape.of(shape)
