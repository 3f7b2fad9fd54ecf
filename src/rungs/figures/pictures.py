"""Pictures of any data set, grey or in colour, side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from rungs.data import DATASETS

GAP = 1


def picture_grid(images: np.ndarray, columns: int, dataset: str) -> np.ndarray:
    """Flattened uint8 images as one picture, filled row by row: grey ones as dark ink on white
    ``[height, width]``, colour ones as they are ``[height, width, 3]``.

    Args:
        images: ``[n, pixels]``, of a data set's shape.
    """
    shape = DATASETS[dataset].shape
    tiles = images.reshape(-1, *shape)
    if len(shape) == 2:
        tiles = 255 - tiles
    side, step = shape[0], shape[0] + GAP
    rows = -(-len(tiles) // columns)
    grid = np.full((rows * step - GAP, columns * step - GAP, *shape[2:]), 255, dtype=np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        grid[row * step : row * step + side, column * step : column * step + side] = tile
    return grid


def prior_label(run: dict[str, Any]) -> str:
    """A run in words: its prior, and what else is not the rule.

    >>> prior_label({"network": {"prior": "mixture", "prior_components": 9, "posterior": "full"},
    ...     "training": {"importance_samples": 10}})
    'mixture of 9, full posterior, IW 10'
    """
    network, weighted = run["network"], run["training"]["importance_samples"]
    count = network["prior_components"]
    prior = {
        "gaussian": "Gaussian prior",
        "mixture": f"mixture of {count}",
        "vamp": f"VampPrior of {count}",
    }
    parts = [prior[network["prior"]]]
    if run.get("model") == "vaegan":
        parts[0] = f"VAE/GAN, {parts[0]}"
    if network.get("posterior", "diagonal") != "diagonal":
        parts.append(f"{network['posterior']} posterior")
    if weighted > 1:
        parts.append(f"IW {weighted}")
    if network.get("divergence") in ("upper", "lower"):
        parts.append(f"trained on the {network['divergence']} bound")
    return ", ".join(parts)
