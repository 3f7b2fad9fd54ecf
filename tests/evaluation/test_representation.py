"""Nearest neighbours against their definition."""

from __future__ import annotations

import numpy as np
import pytest

from rungs.evaluation.representation import nearest_neighbours_correct


@pytest.mark.parametrize(("neighbours", "units"), [(1, 3), (5, 3), (5, 1), (8, 10)])
def test_nearest_neighbours_are_those_of_the_definition(neighbours: int, units: int) -> None:
    """One query at a time, all distances sorted, votes counted, the smallest label first."""
    random = np.random.default_rng(neighbours)
    centres = random.normal(0, 1.5, (7, units))
    labels, queries = random.integers(0, 7, 900), random.integers(0, 7, 1201)
    x = (centres[labels] + random.normal(size=(900, units))).astype(np.float32)
    y = (centres[queries] + random.normal(size=(1201, units))).astype(np.float32)
    expected = []
    for latents, label in zip(y.astype(np.float64), queries, strict=True):
        nearest = np.square(x - latents).sum(1).argsort()[:neighbours]
        expected.append(np.bincount(labels[nearest]).argmax() == label)
    np.testing.assert_array_equal(
        nearest_neighbours_correct(x, labels, y, queries, neighbours), expected
    )
    assert 0.15 < np.mean(expected) < 1


def test_fewer_references_than_neighbours() -> None:
    x, labels = np.zeros((2, 1)), np.array([1, 1])
    assert nearest_neighbours_correct(x, labels, x, labels).all()


def test_without_units_all_references_vote() -> None:
    labels = np.array([2, 0, 2, 1, 1, 2, 0, 2])
    found = nearest_neighbours_correct(np.zeros((8, 0)), labels, np.zeros((3, 0)), np.arange(3))
    assert found.tolist() == [False, False, True]
