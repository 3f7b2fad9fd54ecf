"""Nearest-code search by a matrix product against ``torch.cdist``."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from rungs.bench import Row, Scale
from rungs.bench.timing import in_turns, spread
from rungs.models.vq import nearest_codes
from rungs.numerics.torch_setup import prepare_process

#: vectors (images times positions), codes, dimension: quick, CIFAR-10, the paper's
SIZES = ((64 * 49, 64, 16), (128 * 64, 256, 64), (128 * 64, 512, 64))


def by_distance(vectors: Tensor, codebook: Tensor) -> Tensor:
    """The codes by all distances, as ``torch.cdist`` gives them."""
    return torch.cdist(vectors, codebook).argmin(-1)


def by_difference(vectors: Tensor, codebook: Tensor) -> Tensor:
    """The codes by all distances without a matrix product."""
    distances = torch.cdist(vectors, codebook, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.argmin(-1)


def measure(scale: Scale) -> list[Row]:
    """Milliseconds of a search at each size: ours, ``torch.cdist``, and cdist without a product; the
    ratio is how many times as fast as that. Timed in turns."""
    prepare_process(scale.threads)
    rows = []
    for vectors, codes, dim in SIZES:
        random = torch.Generator().manual_seed(0)
        x = torch.randn(vectors, dim, generator=random)
        codebook = torch.randn(codes, dim, generator=random)
        functions = {
            "torch.cdist": by_distance,
            "ours": nearest_codes,
            "cdist without a product": by_difference,
        }
        seconds = in_turns(
            {name: partial(function, x, codebook) for name, function in functions.items()},
            2 * scale.repetitions,
        )
        medians = {name: 1e3 * float(np.median(found)) for name, found in seconds.items()}
        # a tie in the last bits may go either way
        same = (nearest_codes(x, codebook) == by_difference(x, codebook)).float().mean()
        rows += [
            Row(
                f"nearest of {codes} codes of {dim}, {vectors} vectors",
                name,
                value,
                "ms",
                medians["torch.cdist"] / value,
                "torch.cdist",
                spread(seconds[name]),
                f"{100 * float(same):.2f} % the same codes" if name == "ours" else "",
            )
            for name, value in medians.items()
        ]
    return rows
