"""The one reading of intensities: which value is white, and which of 256 levels a value becomes.

One's own data and the images that the Python interface takes are both read by it. White is stated, or
it is sure: booleans and zeros and ones are bits, floats reach from 0 to 1, and bytes of which some
are in the upper half reach to 255. Everything else is refused with a white that would fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rungs.errors import DataError

#: the white of bits, of hexadecimal digits and sums of 4 x 4 bits, of 5 to 8, 10, 12, 14 and 16 bits,
#: and of per cent
USUAL = (1, 15, 16, 31, 63, 100, 127, 255, 1023, 4095, 16383, 65535)
WHITE = 255
#: integers that reach above this are bytes: the white of seven bits does not do
LOWER_HALF = 127


def usual_white(most: float) -> float:
    """The smallest usual white that is not below a value.

    >>> usual_white(16), usual_white(200), usual_white(3071), usual_white(70000)
    (16, 255, 4095, 70000)
    """
    return next((white for white in USUAL if white >= most), most)


def in_full(white: float) -> str:
    """A white as a message offers it, unrounded: it must not be below the largest pixel.

    >>> in_full(255.0), in_full(1234564.0), in_full(70000.5)
    ('255', '1234564', '70000.5')
    """
    return str(int(white) if float(white).is_integer() else float(white))


def white_of(
    values: np.ndarray, stated: float | None, where: str, state: Callable[[float], str]
) -> float:
    """Return the value of white of images ``[n, ...]`` of any type of number.

    Args:
        stated: the value that the user gives, None for the one that is sure.
        where: what the images are, for messages.
        state: tells how to state a value, for example ``set datasets.mine.white to 16``.

    Raises:
        DataError: if a value is no number, negative or above white, if white is not sure, or if it is
            stated where it means nothing.
    """
    if values.dtype.kind == "b":
        if stated is not None:
            raise DataError(f"{where}: booleans are off and on, and have no white; leave it out.")
        return 1.0
    if not values.size:
        return 1.0 if stated is None else stated
    least, most = values.min(), values.max()
    if not math.isfinite(least) or not math.isfinite(most):
        worst = values.argmax() if math.isfinite(least) else values.argmin()
        raise DataError(
            f"{_pixel(values, int(worst), where)}; expected numbers. Mend the image or remove it."
        )
    if least < 0:
        raise DataError(f"{_pixel(values, int(values.argmin()), where)}; {_negative(values)}")
    white = _sure(values.dtype, most) if stated is None else stated
    if white is None:
        fits, other = usual_white(float(most)), 65535 if _is_deep(values.dtype) else WHITE
        dark = f", or {other} if the images are that dark" if fits < other else ""
        raise DataError(
            f"{where}: the largest pixel is {most} ({values.dtype}), which does not tell the value of "
            f"white; {state(fits)}{dark}."
        )
    if most > white:
        raise DataError(
            f"{_pixel(values, int(values.argmax()), where)}; expected numbers from 0 to {white:g}. "
            f"If the images are sound, {state(usual_white(float(most)))}."
        )
    return white


def _sure(kind: np.dtype[Any], most: float) -> float | None:
    """The white of numbers of this type, the largest of which is ``most``; None if it is not sure."""
    if kind.kind == "f" or most <= 1:
        return 1.0
    return float(WHITE) if not _is_deep(kind) and LOWER_HALF < most <= WHITE else None


def _is_deep(kind: np.dtype[Any]) -> bool:
    """Whether a type is that of 16 bits, in either order of its bytes."""
    return kind.kind == "u" and kind.itemsize == 2


def as_levels(values: np.ndarray, white: float) -> np.ndarray:
    """Round values from 0 to ``white`` to levels, uint8 of the same shape."""
    if values.dtype == np.uint8 and white == WHITE:
        return values
    return np.rint(values.astype(np.float64) * (WHITE / white)).astype(np.uint8)


def _pixel(values: np.ndarray, place: int, where: str) -> str:
    """The pixel of an image at a place of the flattened array, in words."""
    image = np.unravel_index(place, values.shape)[0]
    return f"{where}: image {int(image)} has a pixel of {values.flat[place]}"


def _negative(values: np.ndarray) -> str:
    """The remedy for numbers below 0."""
    if values.dtype == np.int8:
        return "bytes are unsigned: save them as uint8 (images.view('uint8'))."
    least, most = values.min(), values.max()
    if values.dtype.kind == "f" and least >= -1 and most <= 1:
        return "intensities start at 0: save (images + 1) / 2 if black is -1 and white 1."
    return "intensities start at 0: save the images as they were before they were normalised."
