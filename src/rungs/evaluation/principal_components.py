"""Principal components of images."""

from __future__ import annotations

import numpy as np


def principal_axes(x: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean ``[d]`` of ``x [n, d]`` and its first principal axes ``[d, components]``."""
    centre = x.mean(0)
    _, vectors = np.linalg.eigh(np.cov(x - centre, rowvar=False))
    return centre, vectors[:, ::-1][:, :components]
