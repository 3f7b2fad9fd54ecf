"""The images of an evaluation."""

from __future__ import annotations

import torch

from rungs.evaluation.splits import chosen


def test_chosen_images() -> None:
    assert chosen(5, 3).tolist() == [0, 1, 2]
    subset = chosen(100, 1000)
    assert len(subset.unique()) == 100
    assert torch.equal(subset, chosen(100, 1000))
    assert not torch.equal(subset, torch.arange(100))
