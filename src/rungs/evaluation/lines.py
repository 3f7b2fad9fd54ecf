"""The prior's density on straight lines between the codes of two classes: does it fall between them?

The array ``lines/log_density [lines, points]``, nats, has log p(z) at equidistant points of a line between
the posterior means of two test images of different classes, ends included. Every pair of classes has the
same number of lines, and the images are drawn. Data sets with fewer than two classes have no lines.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.evaluation.splits import Split
from rungs.numerics.seeds import derive_seed

#: lines at least, points on each, and pairs of classes at most: of more, some are drawn
LINES, POINTS, MOST_PAIRS = 100, 51, 1000


def pairs_of_classes(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw pairs of images of different classes, ``[lines, 2]``, indices into ``labels [n]``.

    Every pair of classes occurs equally often. An image is drawn again only after all of its class.
    """
    classes = np.unique(labels)
    pairs = np.array(list(itertools.combinations(range(len(classes)), 2))).reshape(-1, 2)
    if len(pairs) > MOST_PAIRS:
        pairs = random.permutation(pairs)[:MOST_PAIRS]
    if len(pairs) == 0:
        return pairs
    pairs = np.repeat(pairs, math.ceil(LINES / len(pairs)), axis=0)
    ends = np.empty_like(pairs)
    for number, label in enumerate(classes):
        wanted = pairs == number
        images, count = np.flatnonzero(labels == label), np.count_nonzero(wanted)
        rounds = math.ceil(count / len(images))
        ends[wanted] = np.array([random.permutation(images) for _ in range(rounds)]).ravel()[:count]
    return ends


def between(ends: Tensor, points: int) -> Tensor:
    """Return equidistant points of the straight lines between pairs of codes, ends included.

    Args:
        ends: the two ends of a line one after the other, ``[2 * lines, units]``.

    Returns:
        ``[lines, points, units]``.
    """
    start, end = ends[0::2].unsqueeze(1), ends[1::2].unsqueeze(1)
    return start + torch.linspace(0, 1, points).reshape(1, -1, 1) * (end - start)


@torch.no_grad()
def line_arrays(model: Any, test: Split, seed: int, rows: int) -> dict[str, Any]:
    """Return ``lines/log_density`` of a model with one layer; nothing without latents or classes.

    Args:
        test: the test images as the model takes them.
        rows: points whose density is computed at once.
    """
    if model.latent_sizes[0] == 0 or not test.labelled:
        return {}
    random = np.random.default_rng(derive_seed(seed, "lines"))
    ends = pairs_of_classes(test.labels, random)
    if len(ends) == 0:
        return {}
    found = []
    for part in torch.from_numpy(ends).split(max(1, rows // POINTS)):
        posterior, prior = model.encode(test.x[part.flatten()])
        found.append(prior.log_density(between(posterior.mean, POINTS)).sum(-1))
    return {"lines/log_density": torch.cat(found).numpy()}
