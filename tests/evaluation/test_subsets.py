"""What is shown, swapped or measured of some images does not rest on the order in which they are stored."""

from __future__ import annotations

import re

import numpy as np
import torch

from rungs.evaluation.definitions import PICTURES
from rungs.evaluation.splits import Split
from rungs.evaluation.subsets import drawn, partners
from rungs.paths import ROOT

#: a thousand images of ten classes, stored class by class; an image's only pixel is its number
SORTED = Split(torch.arange(1000.0)[:, None], np.repeat(np.arange(10), 100))


def test_images_are_drawn_once_each() -> None:
    order = drawn(PICTURES, 1000)
    assert len(set(order.tolist())) == PICTURES
    assert np.array_equal(order, drawn(PICTURES, 1000))
    assert np.array_equal(order[:8], drawn(8, 1000))
    assert sorted(drawn(PICTURES, 30)) == list(range(30))
    assert len(drawn(PICTURES, 0)) == 0


def test_the_images_shown_are_of_many_classes_however_few_they_are() -> None:
    shown = SORTED.shown(PICTURES)[:, 0].int().numpy()
    assert np.unique(SORTED.labels[shown[:14]]).size >= 6
    assert np.bincount(SORTED.labels[shown], minlength=10).min() >= 3


def test_another_images_latents_are_of_an_image_anywhere() -> None:
    other = partners(1000)
    assert sorted(other) == list(range(1000))
    assert not (other == np.arange(1000)).any()
    assert abs(np.mean(SORTED.labels[other] == SORTED.labels) - 0.1) < 0.04
    assert partners(1).tolist() == [0]
    assert partners(2).tolist() == [1, 0]


def test_no_evaluator_takes_the_beginning_of_what_is_stored() -> None:
    """Nor the neighbour in it. What is computed again for a comparison is no choice of images."""
    taken = re.compile(r"\b(x|test|train|labels|originals)\[: ?[A-Z]|\.roll\(|\.x\[0\]|\.x\[:1\]")
    for room in ("evaluation", "figures", "claims", "tables"):
        for path in (ROOT / "src/rungs" / room).glob("*.py"):
            if path.stem != "subsets":
                assert not taken.search(path.read_text()), path
