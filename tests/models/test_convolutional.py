"""Convolutions against those of torch, and the layout of images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convolutional_models import (
    SHAPES,
    random,
    ready,
)
from rungs.data.image_shape import ImageShape
from rungs.models.convolutional import (
    Convolution,
    DoublingConvolution,
    channels_last,
    from_planes,
    to_planes,
)


@pytest.mark.parametrize("shape", SHAPES)
def test_planes_are_the_images(shape: tuple[int, ...]) -> None:
    layout = ImageShape.of(shape)
    x = torch.arange(2 * layout.pixels).reshape(2, -1).float()
    planes = to_planes(x, layout)
    assert planes.shape == (2, layout.channels, layout.height, layout.width)
    assert torch.equal(from_planes(planes, layout), x)
    pixel = x.reshape(2, *shape)
    colour = pixel[0, 1, 2] if layout.channels_last or layout.channels == 1 else pixel[0, :, 1, 2]
    assert torch.equal(planes[0, :, 1, 2], colour.reshape(-1))


def test_convolutions_are_torchs() -> None:
    x = torch.randn(2, 3, 8, 8, generator=random())
    ours = ready(Convolution(3, 5, (4, 4), (1, 1), stride=2))
    theirs = nn.Conv2d(3, 5, 4, 2, 1)
    theirs.weight.data, theirs.bias.data = ours.weight.data, ours.bias.data  # type: ignore[union-attr]
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)
    ours = ready(DoublingConvolution(3, 5))
    back = nn.ConvTranspose2d(3, 5, 4, 2, 1)
    back.weight.data, back.bias.data = ours.weight.data, ours.bias.data  # type: ignore[union-attr]
    assert torch.allclose(ours(x), back(x), atol=1e-6)


def test_a_1x1_convolution_is_the_same_on_small_and_large_grids() -> None:
    convolution = ready(Convolution(5, 7, (1, 1)))
    x = torch.randn(3, 5, 30, 30, generator=random())
    large = convolution(x)
    assert large.is_contiguous(memory_format=torch.channels_last)
    small = convolution(x[..., :7, :7])
    assert small.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(small, large[..., :7, :7])


def test_one_channel_lies_channels_last_for_a_convolution() -> None:
    """By its strides, so that torch takes its kernels for that layout; the numbers are the same."""
    convolution = ready(Convolution(1, 4, (3, 3), (1, 1)))
    x = torch.randn(2, 1, 6, 5, generator=random())
    planes = channels_last(x)
    assert torch.equal(planes, x)
    assert planes.stride() == (30, 1, 5, 1)
    found = convolution(x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    expected = torch.nn.functional.conv2d(x, convolution.weight, convolution.bias, padding=1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("outputs", [1, 3, 8])
def test_doubling_is_the_transposed_convolution(outputs: int) -> None:
    """Value and gradients, also of a grid that is not square."""
    convolution = ready(DoublingConvolution(5, outputs))
    x = torch.randn(2, 5, 3, 4, generator=random(), requires_grad=True)
    settings = (convolution.weight, convolution.bias, 2, 1)
    found, expected = convolution(x), torch.nn.functional.conv_transpose2d(x, *settings)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(found.shape, generator=random())
    of = [x, *convolution.parameters()]
    gradients = [torch.autograd.grad((y * weights).sum(), of) for y in (found, expected)]
    torch.testing.assert_close(*gradients)
