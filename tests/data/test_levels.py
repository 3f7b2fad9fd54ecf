"""Levels: white is stated or sure, and everything else is refused with the white that fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rungs.data.levels import as_levels, white_of
from rungs.errors import DataError


def white(values: Any, kind: Any, stated: float | None = None) -> float:
    array = np.asarray(values).astype(kind)[None]
    return white_of(array, stated, "images", lambda value: f"set white to {value:g}")


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([0, 1], bool, 1),
        ([0, 1], np.uint8, 1),
        ([0, 1], np.int64, 1),
        ([0, 1], np.uint16, 1),
        ([0, 0.2], np.float16, 1),
        ([0, 1], np.float32, 1),
        ([0, 255], np.uint8, 255),
        ([3, 128], np.uint8, 255),
        ([0, 255], np.int64, 255),
    ],
)
def test_what_is_sure(values: Any, kind: Any, expected: float) -> None:
    assert white(values, kind) == expected


@pytest.mark.parametrize(
    ("values", "kind", "stated", "message"),
    [
        ([0, 16], np.uint8, None, "does not tell the value of white; set white to 16, or 255 if"),
        ([0, 127], np.int32, None, "set white to 127, or 255 if"),
        ([0, 255], np.uint16, None, "set white to 255, or 65535 if"),
        ([0, 255], ">u2", None, "set white to 255, or 65535 if"),
        ([0, 3071], np.uint16, None, "set white to 4095, or 65535 if"),
        ([0, 3071], np.int32, None, "set white to 4095."),
        ([0, 100000], np.int32, None, "set white to 100000."),
        (
            [0, 16],
            np.float32,
            None,
            "has a pixel of 16.0; expected numbers from 0 to 1. If the images",
        ),
        ([0, 16], np.float32, None, "set white to 16."),
        ([0, 255.5], np.float64, 255, "set white to 1023."),
        ([0, 1], bool, 1, "have no white; leave it out"),
        ([-1, 1], np.float32, None, "save (images + 1) / 2"),
        ([-2.1, 2.8], np.float32, None, "before they were normalised"),
        ([-128, 127], np.int8, None, "save them as uint8"),
        ([0, np.nan], np.float32, None, "a pixel of nan; expected numbers"),
        ([0, np.inf], np.float32, 255, "a pixel of inf; expected numbers"),
    ],
)
def test_what_is_refused(values: Any, kind: Any, stated: float | None, message: str) -> None:
    with pytest.raises(DataError) as caught:
        white(values, kind, stated)
    assert message in str(caught.value)


def test_levels_are_rounded_to_the_nearest() -> None:
    np.testing.assert_array_equal(as_levels(np.array([0, 8, 16]), 16), [0, 128, 255])
    np.testing.assert_array_equal(as_levels(np.array([False, True]), 1), [0, 255])
    np.testing.assert_array_equal(as_levels(np.array([0, 65535], np.uint16), 65535), [0, 255])
    levels = np.arange(256, dtype=np.uint8)
    for values in (levels / 255, (levels / 255).astype(np.float32)):
        np.testing.assert_array_equal(as_levels(values, 1), levels)
    assert as_levels(levels, 255) is levels
