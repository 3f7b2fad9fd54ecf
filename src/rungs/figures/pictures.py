"""Pictures of any data set, grey or in colour, side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rungs.data import shape_of
from rungs.models import entry

GAP = 1


def picture_grid(
    images: np.ndarray, columns: int, settings: Mapping[str, Any], gap: int = GAP
) -> np.ndarray:
    """Flattened uint8 images as one picture, filled row by row: ink as dark on white
    ``[height, width]``, other grey images and colour ones ``[height, width, 3]`` as they are.

    Args:
        images: ``[n, pixels]``, of the shape of the run's data set.
        settings: those of the run that made them.
    """
    shape = shape_of(settings)
    tiles = images.reshape(-1, *shape)
    if len(shape) == 2 and is_ink(settings):
        tiles = 255 - tiles
    height, width = shape[:2]
    down, right = height + gap, width + gap
    rows = -(-len(tiles) // columns)
    grid = np.full((rows * down - gap, columns * right - gap, *shape[2:]), 255, dtype=np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = row * down, column * right
        grid[top : top + height, left : left + width] = tile
    return grid


def whole_square(most: int, stacks: Iterable[np.ndarray]) -> int:
    """Return the side of the largest square of pictures that each stack fills, at most ``most``: of a small
    data set some have fewer pictures than others.

    >>> whole_square(7, [np.zeros((49, 784)), np.zeros((40, 784))])
    6
    """
    return min([most, *(math.isqrt(len(stack)) for stack in stacks)])


def is_ink(settings: Mapping[str, Any]) -> bool:
    """Return whether grey images are of ink, which is 255 and is shown dark: those of the built-in sets are,
    one's own where they were inverted.

    >>> is_ink({"dataset": "mnist5k"}), is_ink({"dataset": "mine", "inverted": False})
    (True, False)
    """
    return bool(settings.get("inverted", True))


def frechet_words(distance: np.ndarray | None) -> list[str]:
    """State the Frechet distance of samples, in lines: its features are a classifier's, which takes labels.

    >>> frechet_words(np.array(39.4)), frechet_words(None)
    (['Frechet distance 39'], ['no Frechet distance:', 'no labels'])
    """
    if distance is None:
        return ["no Frechet distance:", "no labels"]
    return [f"Frechet distance {float(distance):.0f}"]


def prior_label(settings: Mapping[str, Any]) -> str:
    """Describe a run by its prior and by what departs from the plain recipe.

    >>> prior_label({"model": "single", "training": {"importance_samples": 10},
    ...     "network": {"prior": "mixture", "prior_components": 9, "posterior": "full"}})
    'mixture of 9, full posterior, IW 10'
    >>> prior_label({"model": "autoencoder", "training": {"importance_samples": 1}, "network": {}})
    'autoencoder, no prior'
    """
    network, weighted = settings["network"], settings["training"]["importance_samples"]
    family, count = entry(settings["model"]).family, network.get("prior_components")
    prior = network.get("prior", family.prior)
    words = {
        None: "no prior",
        "gaussian": "Gaussian prior",
        "mixture": f"mixture of {count}",
        "vamp": f"VampPrior of {count}",
    }
    parts = [family.label] if family.label else []
    parts.append(words.get(prior, f"{prior} prior"))
    if network.get("posterior", "diagonal") != "diagonal":
        parts.append(f"{network['posterior']} posterior")
    if weighted > 1:
        parts.append(f"IW {weighted}")
    if network.get("divergence") in ("upper", "lower"):
        parts.append(f"trained on the {network['divergence']} bound")
    return ", ".join(parts)
