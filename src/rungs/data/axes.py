"""The one reading of an array's shape: which axis is which, and in which order colours lie.

Rows of ``3 h w`` values, and images whose first and last axis can both be the colours, can be read in
two ways. The layout says which: ``planes``, all red before all green, as CIFAR-10 and torch store
images, or ``interleaved``, the three colours of a pixel side by side, as files and matplotlib do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rungs.errors import DataError

PLANES, INTERLEAVED = "planes", "interleaved"
CHANNELS = (1, 3)
#: images that are looked at for advice, at least
LOOKED_AT = 100


@dataclass(frozen=True)
class Axes:
    """How an image of an array is stored.

    Attributes:
        shape: of the image, ``(h, w)`` or ``(h, w, 3)``.
        planes: whether colours come before height and width.
    """

    shape: tuple[int, ...]
    planes: bool

    @property
    def stored(self) -> tuple[int, ...]:
        """The shape in which the values lie, with the colours where they are."""
        return (self.shape[2], *self.shape[:2]) if self.planes else self.shape

    def arranged(self, block: np.ndarray) -> np.ndarray:
        """Images ``[n, *shape]`` of a block of the array."""
        images = block.reshape(-1, *self.stored)
        return np.ascontiguousarray(np.moveaxis(images, 1, -1) if self.planes else images)


def readings(full: Sequence[int], size: tuple[int, int] | None) -> dict[str, Axes]:
    """How an array of the shape ``full``, ``n`` first, can be read, by layout; none if it has no images.

    Args:
        size: height and width, for rows.
    """
    match tuple(full):
        case (_, pixels) if size is not None and pixels == math.prod(size):
            return {INTERLEAVED: Axes(size, False)}
        case (_, pixels) if size is not None and pixels == 3 * math.prod(size):
            return {PLANES: Axes((*size, 3), True), INTERLEAVED: Axes((*size, 3), False)}
        case (_, height, width):
            return {INTERLEAVED: Axes((height, width), False)}
        case (_, first, second, third):
            found = {}
            if first in CHANNELS:
                found[PLANES] = _axes(second, third, first, True)
            if third in CHANNELS:
                found[INTERLEAVED] = _axes(first, second, third, False)
            return found
    return {}


def _axes(height: int, width: int, channels: int, planes: bool) -> Axes:
    """Those of an image with a channel axis, which is left out where it is one."""
    if channels == 1:
        return Axes((height, width), False)
    return Axes((height, width, channels), planes)


def choose(
    found: dict[str, Axes], stated: str | None, where: str, key: str, look: Callable[[], np.ndarray]
) -> Axes:
    """The reading that the user states, or the only one.

    Args:
        found: what :func:`readings` returns, not empty.
        key: of the configuration, of the data set.
        look: reads the array, for advice.

    Raises:
        DataError: if there are two and none is stated, or one and another is stated.
    """
    if len(found) == 1:
        if stated is not None:
            raise DataError(
                f"{where}: its shape can be read in one way only; leave {key}.layout out."
            )
        return next(iter(found.values()))
    if stated is not None:
        return found[stated]
    array = look()
    smoother = min(found, key=lambda layout: _roughness(array, found[layout]))
    other = next(layout for layout in found if layout != smoother)
    raise DataError(
        f"{where}: its colours can lie in planes (all red, then all green) or interleaved (pixel by "
        f"pixel), and its shape does not tell; set {key}.layout to {smoother}, which gives the smoother "
        f"pictures, or to {other}."
    )


def _roughness(array: np.ndarray, axes: Axes) -> float:
    """The mean difference of neighbouring pixels of some images, read in this way."""
    some = array[:: max(1, len(array) // LOOKED_AT)]
    images = axes.arranged(np.asarray(some)).astype(np.float64)
    steps = [np.abs(np.diff(images, axis=axis)) for axis in (1, 2)]
    return float(np.mean([step.mean() for step in steps if step.size] or [0.0]))
