"""The PixelCNN: each position sees the positions before it, and nothing else."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from convolutional_models import (
    random,
    ready,
)
from rungs.models.convolutional import (
    Convolution,
)
from rungs.models.pixelcnn import GatedPixelCNN, Vertical


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("reach", [1, 3])
def test_a_pixel_moves_only_what_comes_after_it(layers: int, reach: int) -> None:
    """Every pixel is perturbed in turn, and all that it may move, it does: there is no blind spot
    within the window of the first convolution. 24 channels, so that the rectifiers before the output
    cut off no change by chance."""
    height, width = 9, 8
    model = ready(GatedPixelCNN(1, 2, 24, layers, reach)).double()
    x = torch.rand(1, 1, height, width, generator=random()).double()
    base = model(x)
    for row, column in itertools.product(range(height), range(width)):
        moved = x.clone()
        moved[0, 0, row, column] += 1.0
        change = (model(moved) - base).abs().sum((0, 1)) > 0
        later = torch.arange(height * width).reshape(height, width) > row * width + column
        assert not bool((change & ~later).any()), (row, column)
        rows, columns = torch.nonzero(change, as_tuple=True)
        if len(rows):
            assert int(rows.max()) - row <= model.rows_above
            assert int((columns - column).abs().max()) <= model.columns_aside
        if column + 1 < width:
            assert bool(change[row, column + 1])
        for right, down in itertools.product(range(-reach, reach + 1), range(1, reach + 1)):
            if 0 <= column + right < width and row + down < height:
                assert bool(change[row + down, column + right]), (row, column, right, down)


def test_the_condition_is_seen_everywhere() -> None:
    model = ready(GatedPixelCNN(1, 2, 6, 2, 2, condition=3)).double()
    x = torch.rand(1, 1, 5, 5, generator=random()).double()
    condition = torch.rand(1, 3, 5, 5, generator=random(1)).double()
    base = model(x, condition)
    condition[0, 0, 2, 2] += 1
    assert bool(((model(x, condition) - base).abs().sum((0, 1)) > 0)[2, 2])


def test_sampling_sees_what_evaluation_sees() -> None:
    """The parameters at which pixels are drawn, from what is in sight alone, are those of a pass
    over the finished image."""
    model = ready(GatedPixelCNN(1, 2, 6, 2, 2, condition=3)).double()
    condition = torch.rand(2, 3, 12, 14, generator=random(1)).double()
    noise = torch.rand(2, 1, 12, 14, generator=random(2)).double()
    seen = torch.zeros(2, 2, 12, 14).double()

    def draw(parameters: Tensor, row: int, column: int) -> Tensor:
        seen[..., row : row + 1, column : column + 1] = parameters
        return noise[..., row : row + 1, column : column + 1] + parameters[:, :1]

    x = model.sample(torch.zeros(2, 1, 12, 14).double(), draw, condition)
    assert torch.allclose(model(x, condition), seen, atol=1e-12)


def test_two_linear_maps_in_a_row_are_computed_as_one() -> None:
    """Value and gradients of the last layer's window and the 1x1 convolution across, row above."""
    # in double precision, for the two sum in different orders
    window = ready(Vertical(3, 8, 1)).double()
    across = ready(Convolution(8, 8, (1, 1))).double()
    x = torch.randn(2, 3, 12, 11, generator=random(), dtype=torch.float64)
    parameters = [*window.parameters(), *across.parameters()]
    one = window.above(x, across)
    two = across(window(torch.nn.functional.pad(x, (0, 0, 1, -1))))
    torch.testing.assert_close(one, two)
    weights = torch.randn(one.shape, generator=random(), dtype=torch.float64)
    found, expected = (torch.autograd.grad((y * weights).sum(), parameters) for y in (one, two))
    torch.testing.assert_close(found, expected)
