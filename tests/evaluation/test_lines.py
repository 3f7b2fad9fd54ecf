"""Lines between two classes: which images, and log p(z) on them against scipy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from dense_models import SINGLE, built
from rungs.evaluation.lines import LINES, MOST_PAIRS, POINTS, line_arrays, pairs_of_classes
from rungs.evaluation.splits import Split

random = np.random.default_rng


@pytest.mark.parametrize(("classes", "each"), [(2, 100), (10, 3), (20, 1)])
def test_all_pairs_of_classes_have_as_many_lines(classes: int, each: int) -> None:
    labels = random(1).permutation(np.repeat(np.arange(classes), 50))
    ends = pairs_of_classes(labels, random(0))
    assert len(ends) >= LINES
    found, counts = np.unique(labels[ends], axis=0, return_counts=True)
    assert found.tolist() == [list(pair) for pair in itertools.combinations(range(classes), 2)]
    assert set(counts) == {each}
    # an image comes again only after all of its class
    uses = np.bincount(ends.ravel(), minlength=len(labels))
    for label in range(classes):
        own = uses[labels == label]
        assert own.max() - own.min() <= 1
    again = pairs_of_classes(labels, random(2))
    assert not np.array_equal(ends, again)


def test_many_classes_and_few() -> None:
    ends = pairs_of_classes(np.arange(60), random(0))
    assert len(np.unique(ends, axis=0)) == len(ends) == MOST_PAIRS
    assert len(pairs_of_classes(np.zeros(5, np.int64), random(0))) == 0


@pytest.mark.parametrize("prior", ["gaussian", "mixture"])
def test_the_density_on_a_line(prior: str) -> None:
    model = built("single", 1, **(SINGLE | {"prior": prior}))
    x = torch.rand(40, 30, generator=torch.Generator().manual_seed(2)).round()
    test = Split(x, np.arange(40) % 4)
    found = line_arrays(model, test, seed=3, rows=120)["lines/log_density"]
    assert found.shape[0] >= LINES
    assert found.shape[1] == POINTS >= 51
    with torch.no_grad():
        means = model.posterior(x).mean.double().numpy()
        density = model.prior()
    # the ends are images of different classes: every line is that of one pair
    t = np.linspace(0, 1, POINTS)[:, None]
    for line in found[[0, 57, -1]]:
        differences = [
            np.abs(log_density(prior, density, (1 - t) * means[a] + t * means[b]) - line).max()
            for a, b in itertools.permutations(range(40), 2)
            if a % 4 < b % 4
        ]
        assert min(differences) < 1e-4
    assert np.array_equal(found, line_arrays(model, test, seed=3, rows=9999)["lines/log_density"])


def log_density(prior: str, density: Any, z: np.ndarray) -> np.ndarray:
    """Of N(0, I) or of the mixture, by scipy."""
    if prior == "gaussian":
        return np.asarray(stats.norm.logpdf(z).sum(1))
    weights, means, variances = (
        tensor.detach().double().numpy()
        for tensor in (density.log_weights, density.means, density.variances)
    )
    parts = [stats.norm.logpdf(z, m, v**0.5).sum(1) for m, v in zip(means, variances, strict=True)]
    return np.asarray(logsumexp(np.array(parts) + weights[:, None], axis=0))


def test_without_classes_or_latents_there_are_no_lines() -> None:
    model = built("single", 1, **SINGLE)
    x = torch.zeros(5, 30)
    assert line_arrays(model, Split(x, np.full(5, -1)), 0, 100) == {}
    assert line_arrays(model, Split(x, np.zeros(5, np.int64)), 0, 100) == {}
