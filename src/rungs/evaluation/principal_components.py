"""Principal components of images, in memory that grows no faster than the images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

#: values of an image up to which its images are held in float64 and their covariance is built: those of a
#: colour image of 32x32
SMALL = 3072
#: images up to which the products of each two of them are held
FEW = 4096
#: values of larger images that are held in float64 at once
BLOCK_VALUES = 2**22


def as_features(x: Tensor) -> np.ndarray:
    """Return images ``[n, pixels]`` as float64 or, where they are large, as the float32 they are."""
    array = np.asarray(x.numpy())
    return array.astype(np.float64) if array.shape[1] <= SMALL else array


def row_blocks(x: np.ndarray) -> Iterator[slice]:
    """Yield the rows of ``x [n, d]``: those of small images at once, of large ones in blocks of
    :data:`BLOCK_VALUES` values."""
    step = len(x) if x.shape[1] <= SMALL else max(1, BLOCK_VALUES // x.shape[1])
    for start in range(0, max(1, len(x)), max(1, step)):
        yield slice(start, start + step)


def principal_axes(x: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean ``[d]`` of ``x [n, d]`` and its first principal axes ``[d, components]``.

    Of large images these come from the products of each two images or, of many images, from Lanczos'
    method; there are no more of them than directions in which the images vary.
    """
    if x.shape[1] > SMALL:
        return _of_large(x, components)
    centre = x.mean(0)
    _, vectors = np.linalg.eigh(np.cov(x - centre, rowvar=False))
    return centre, vectors[:, ::-1][:, :components]


def _of_large(x: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    """The same from the eigenvectors ``u [n]`` of ``y y'``, with ``y`` the centred images, of which a block
    is held in float64 at a time: ``y' u`` are those of the covariance."""
    n, d = x.shape
    centre = x.mean(0, dtype=np.float64)

    def times(v: np.ndarray) -> np.ndarray:  # [d, ...] -> [n, ...]
        return np.concatenate([(x[rows] - centre) @ v for rows in row_blocks(x)])

    def transposed(u: np.ndarray) -> np.ndarray:  # [n, ...] -> [d, ...]
        total = np.zeros((d, *u.shape[1:]))
        for rows in row_blocks(x):
            total += (x[rows] - centre).T @ u[rows]
        return total

    wanted = min(components, n - 1)
    if wanted < 1:
        return centre, np.zeros((d, 0))
    if n <= FEW:
        products = np.zeros((n, n))
        columns = max(1, BLOCK_VALUES // n)
        for start in range(0, d, columns):
            part = slice(start, start + columns)
            y = x[:, part] - centre[part]
            products += y @ y.T
        values, vectors = np.linalg.eigh(products)
        values, vectors = values[-wanted:], vectors[:, -wanted:]
    else:
        start_vector = np.random.default_rng(0).standard_normal(n)
        operator = LinearOperator((n, n), lambda u: times(transposed(u)), dtype=np.float64)
        values, vectors = eigsh(operator, wanted, which="LA", v0=start_vector)
    kept = values > 1e-10 * values.max()
    axes = transposed(vectors[:, kept][:, ::-1]) / np.sqrt(values[kept][::-1])
    return centre, axes
