"""Nearest-code search by a matrix product against ``torch.cdist``: ``python -m rungs.bench.vq``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rungs.models.vq import nearest_codes

#: vectors (images times positions), codes, dimension: quick, CIFAR-10, the paper's
SIZES = ((64 * 49, 64, 16), (128 * 64, 256, 64), (128 * 64, 512, 64))
REPEATS = 9


def by_distance(vectors: Tensor, codebook: Tensor) -> Tensor:
    """The codes by all distances, as ``torch.cdist`` gives them."""
    return torch.cdist(vectors, codebook).argmin(-1)


def by_difference(vectors: Tensor, codebook: Tensor) -> Tensor:
    """The codes by all distances without a matrix product."""
    distances = torch.cdist(vectors, codebook, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.argmin(-1)


def measure(
    repeats: int = REPEATS, sizes: tuple[tuple[int, int, int], ...] = SIZES
) -> list[dict[str, Any]]:
    """A row a size: the least seconds of ours and of ``torch.cdist``, their ratio (above 1: ours is
    faster), the ratio to cdist without a matrix product, and whether all find the same codes."""
    rows = []
    for vectors, codes, dim in sizes:
        random = torch.Generator().manual_seed(0)
        x = torch.randn(vectors, dim, generator=random)
        codebook = torch.randn(codes, dim, generator=random)
        seconds = {
            function.__name__: _least(function, x, codebook, repeats)
            for function in (nearest_codes, by_distance, by_difference)
        }
        ours = seconds["nearest_codes"]
        agree = (nearest_codes(x, codebook) == by_difference(x, codebook)).float().mean()
        rows.append(
            {
                "name": "nearest_codes",
                "vectors": vectors,
                "codes": codes,
                "dim": dim,
                "seconds": ours,
                "reference": "torch.cdist",
                "reference_seconds": seconds["by_distance"],
                "ratio": seconds["by_distance"] / ours,
                "ratio_without_product": seconds["by_difference"] / ours,
                # a tie in the last bits may go either way
                "same": bool(agree > 0.999),
                "threads": torch.get_num_threads(),
            }
        )
    return rows


def _least(
    function: Callable[[Tensor, Tensor], Tensor], x: Tensor, codebook: Tensor, repeats: int
) -> float:
    function(x, codebook)
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        function(x, codebook)
        found.append(time.perf_counter() - started)
    return min(found)


if __name__ == "__main__":
    for row in measure():
        print(row)
