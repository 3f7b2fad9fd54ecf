"""Classes of points around drawn centres."""

from __future__ import annotations

import numpy as np


def blobs(
    n: int, d: int, classes: int, seed: int = 0, apart: float = 1.2
) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    y = random.integers(0, classes, n)
    centres = apart * random.normal(size=(classes, d))
    return centres[y] + random.normal(size=(n, d)), y
