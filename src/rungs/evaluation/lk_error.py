"""The standard error of an evaluation's mean L_k, for tables and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np


def lk_standard_error(arrays: Mapping[str, np.ndarray]) -> float:
    """Return the standard error of an evaluation's mean L_k, nats: that over images, and that of images with
    fewer samples; NaN of a single image."""
    lk = arrays["test/lk"]
    if len(lk) < 2:
        return math.nan
    fewer = float(arrays["test/lk_error"]) if "test/lk_error" in arrays else 0.0
    return math.hypot(float(lk.std(ddof=1)) / math.sqrt(len(lk)), fewer)
