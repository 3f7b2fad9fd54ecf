"""Convolutional encoders and decoders of the VQ-VAE and of the continuous VAE it is compared with.

The encoder is that of van den Oord, Vinyals and Kavukcuoglu 2017, section 4.1: two strided
convolutions of window 4x4, then residual blocks (ReLU, 3x3, ReLU, 1x1); the decoder mirrors it with
two transposed convolutions. The grid is 7x7 for images of 28x28 and 8x8 for images of 32x32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rungs.data.image_shape import ImageShape
from rungs.models.networks import draw_glorot

#: the largest grid, in positions, on which a 1x1 convolution is computed as a matrix product: that is
#: twice as fast on 7x7 and slower on 28x28
SMALL_GRID = 64
#: the most output channels for which :class:`Doubling` is faster than torch's transposed convolution
FEW_OUTPUTS = 8


def channels_last(x: Tensor) -> Tensor:
    """Return ``x [batch, channels, h, w]`` with channels last in memory.

    Convolutions on a CPU are up to three times as fast in this layout. A single channel has the same
    layout either way, but torch looks at the strides: with those of channels last, the gradient of a
    kernel takes a third of the time.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    if x.shape[1] > 1:
        return x
    return x.view(len(x), *x.shape[2:], 1).movedim(-1, 1)


def to_planes(x: Tensor, shape: ImageShape) -> Tensor:
    """Reshape ``[batch, pixels]`` to ``[batch, channels, height, width]``, channels last in memory."""
    if shape.channels_last:
        planes = x.unflatten(-1, (shape.height, shape.width, shape.channels)).movedim(-1, -3)
    else:
        planes = x.unflatten(-1, (shape.channels, shape.height, shape.width))
    return channels_last(planes)


def from_planes(planes: Tensor, shape: ImageShape) -> Tensor:
    """The inverse of :func:`to_planes`."""
    return (planes.movedim(-3, -1) if shape.channels_last else planes).flatten(-3)


class Doubling(torch.autograd.Function):
    """A transposed convolution of window 4x4, stride 2 and padding 1, computed by parity of pixels.

    The output pixels whose rows are even or odd and whose columns are even or odd are four images,
    each a convolution of window 2x2. One convolution of 3x3 with four times the channels, each window
    padded with zeros, computes all of them; then they are interleaved. For few channels this takes
    half the time. The gradient is torch's.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Map ``x [batch, inputs, h, w]`` to ``[batch, outputs, 2 h, 2 w]``, channels last."""
        inputs, outputs = weight.shape[:2]
        parts = functional.pad(weight, (1, 1, 1, 1)).view(inputs, outputs, 3, 2, 3, 2).flip(2, 4)
        kernels = parts.permute(3, 5, 1, 0, 2, 4).reshape(4 * outputs, inputs, 3, 3)
        found = functional.conv2d(x, kernels, bias.repeat(4), padding=1).movedim(1, -1)
        rows = found.unflatten(-1, (2, 2 * outputs)).movedim(-2, -3)
        batch, height, width = found.shape[:3]
        return rows.reshape(batch, 2 * height, 2 * width, outputs).movedim(-1, 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        """Save images and weights for the gradient."""
        ctx.save_for_backward(inputs[0], inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of images, weights and bias."""
        x, weight = ctx.saved_tensors
        found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
            *(gradient, x, weight, [weight.shape[1]]),
            *([2, 2], [1, 1], [1, 1], True, [0, 0], 1, [True, True, True]),
        )
        return found


class Convolution(nn.Module):
    """A convolution, strided or not; window and padding are given as (height, width)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        window: tuple[int, int],
        padding: tuple[int, int] = (0, 0),
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, *window))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.padding, self.stride = padding, stride

    def initialise(self, generator: torch.Generator) -> None:
        """Draw Glorot-normal weights."""
        draw_glorot(self.weight, generator)

    def forward(self, x: Tensor, then: Convolution | None = None) -> Tensor:
        """Map ``[batch, inputs, h, w]`` to ``[batch, outputs, h', w']``, channels last in memory.

        Args:
            then: a 1x1 convolution that follows. The two are computed as one convolution.
        """
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if then is not None:
            across = then.weight.flatten(1)
            weight = (across @ weight.flatten(1)).view(-1, *weight.shape[1:])
            bias = torch.addmv(then.bias, across, bias)
        x = channels_last(x)
        pointwise = (self.stride, self.padding, weight.shape[2:]) == (1, (0, 0), (1, 1))
        if pointwise and x.shape[2] * x.shape[3] <= SMALL_GRID:
            return functional.linear(x.movedim(1, -1), weight.flatten(1), bias).movedim(-1, 1)
        return functional.conv2d(x, weight, bias, stride=self.stride, padding=self.padding)


class DoublingConvolution(nn.Module):
    """A transposed convolution of window 4x4 and stride 2, which doubles height and width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs, 4, 4))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw Glorot-normal weights."""
        draw_glorot(self.weight, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[batch, inputs, h, w]`` to ``[batch, outputs, 2 h, 2 w]``, channels last in memory."""
        x = channels_last(x)
        if self.weight.shape[1] <= FEW_OUTPUTS and x.device.type == "cpu":
            doubled: Tensor = Doubling.apply(x, self.weight, self.bias)
            return doubled
        return functional.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1)


class ResidualBlock(nn.Module):
    """``x + conv1x1(relu(conv3x3(relu(x))))``."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.first = Convolution(channels, hidden, (3, 3), (1, 1))
        self.second = Convolution(hidden, channels, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[batch, channels, h, w]`` to the same shape."""
        hidden = functional.relu(self.first(functional.relu(x)))
        return x + self.second(hidden)


class Encoder(nn.Module):
    """A network from images ``[batch, inputs, h, w]`` to a grid ``[batch, outputs, h/4, w/4]``."""

    def __init__(
        self, inputs: int, outputs: int, channels: int, residual_blocks: int, residual_channels: int
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Convolution(inputs, channels // 2, (4, 4), (1, 1), stride=2),
            nn.ReLU(),
            Convolution(channels // 2, channels, (4, 4), (1, 1), stride=2),
            *(ResidualBlock(channels, residual_channels) for _ in range(residual_blocks)),
            nn.ReLU(),
            Convolution(channels, outputs, (1, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map images to the grid."""
        grid: Tensor = self.layers(x)
        return grid


class Decoder(nn.Module):
    """A network from a grid ``[batch, inputs, h/4, w/4]`` to ``[batch, outputs, h, w]``."""

    def __init__(
        self, inputs: int, outputs: int, channels: int, residual_blocks: int, residual_channels: int
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Convolution(inputs, channels, (3, 3), (1, 1)),
            *(ResidualBlock(channels, residual_channels) for _ in range(residual_blocks)),
            nn.ReLU(),
            DoublingConvolution(channels, channels // 2),
            nn.ReLU(),
            DoublingConvolution(channels // 2, outputs),
        )

    def forward(self, grid: Tensor) -> Tensor:
        """Map the grid to parameters of the images."""
        planes: Tensor = self.layers(grid)
        return planes
