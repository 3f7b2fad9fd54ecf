"""The gated PixelCNN (van den Oord et al. 2016b, "Conditional image generation with PixelCNN
decoders", section 2 and figure 2).

Every position sees the positions before it in raster order: the vertical stack sees the rows above,
the horizontal stack the positions to the left in the same row and, through a 1x1 convolution, the
vertical stack of the row above. Instead of multiplying by a mask, windows reach only up and to the
left.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from rungs.models.convolutional import Convolution, channels_last


def shift_down(x: Tensor) -> Tensor:
    """Shift the rows of ``[..., h, w]`` down by one; the first row becomes 0."""
    return functional.pad(x, (0, 0, 1, -1))


def shift_right(x: Tensor) -> Tensor:
    """Shift the columns of ``[..., h, w]`` right by one; the first column becomes 0."""
    return functional.pad(x, (1, -1))


class Vertical(nn.Module):
    """A convolution over a row and the ``reach`` rows above it, ``2 reach + 1`` columns wide."""

    def __init__(self, inputs: int, outputs: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.convolution = Convolution(inputs, outputs, (reach + 1, 2 * reach + 1), (0, reach))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[batch, inputs, h, w]`` to ``[batch, outputs, h, w]``."""
        mapped: Tensor = self.convolution(functional.pad(x, (0, 0, self.reach, 0)))
        return mapped

    def above(self, x: Tensor, then: Convolution) -> Tensor:
        """Apply ``then``, a 1x1 convolution, to this convolution's result of the row above.

        Both are computed as one convolution. In the first row ``then`` is applied to the bias alone.
        """
        shifted = functional.pad(x, (0, 0, self.reach + 1, -1))
        mapped: Tensor = self.convolution(shifted, then)
        return mapped


class Horizontal(nn.Module):
    """A convolution over a position and the ``reach`` positions to its left."""

    def __init__(self, inputs: int, outputs: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.convolution = Convolution(inputs, outputs, (1, reach + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[batch, inputs, h, w]`` to ``[batch, outputs, h, w]``."""
        mapped: Tensor = self.convolution(functional.pad(x, (self.reach, 0)))
        return mapped


def gate(x: Tensor) -> Tensor:
    """``tanh(a) * sigmoid(b)``, a and b the halves of the channels.

    ``tanh(a) = 2 sigmoid(2a) - 1``, which is three times as fast on a CPU.
    """
    # a half of the channels is scattered over memory; made contiguous it takes half the time
    a, b = (channels_last(half) for half in x.chunk(2, -3))
    return (2 * torch.sigmoid(2 * a) - 1) * torch.sigmoid(b)


class GatedLayer(nn.Module):
    """One layer of both stacks, residual in the horizontal one.

    Args:
        condition: channels of the side input, 0 for none.
        last: whether this is the last layer, after which nothing reads the vertical stack.
    """

    def __init__(self, channels: int, reach: int, condition: int, last: bool) -> None:
        super().__init__()
        self.last = last
        self.vertical = Vertical(channels, 2 * channels, reach)
        self.horizontal = Horizontal(channels, 2 * channels, reach)
        self.across = Convolution(2 * channels, 2 * channels, (1, 1))
        self.residual = Convolution(channels, channels, (1, 1))
        given = 2 * channels if last else 4 * channels
        self.given = Convolution(condition, given, (1, 1)) if condition else None

    def forward(
        self, vertical: Tensor, horizontal: Tensor, condition: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Map both stacks, ``[batch, channels, h, w]`` each, through the layer."""
        beside = self.horizontal(horizontal)
        given = None if self.given is None or condition is None else self.given(condition)
        if self.last:
            beside = beside.add_(self.vertical.above(vertical, self.across))
        else:
            above = self.vertical(vertical)
            # shifting after the 1x1 convolution is cheaper than before
            beside = beside.add_(shift_down(self.across(above)))
            if given is not None:
                for_vertical, given = given.chunk(2, -3)
                above = above + for_vertical
            vertical = gate(above)
        if given is not None:
            beside = beside.add_(given)
        return vertical, horizontal + self.residual(gate(beside))


class GatedPixelCNN(nn.Module):
    """A network for the parameters of every position's distribution, given the positions before it.

    Args:
        inputs: channels of the modelled image.
        outputs: parameters a position.
        channels: channels of each stack.
        layers: the number of gated layers of window 3 after the first convolution.
        reach: the reach of the first convolution; published is 3, a window of 7.
        condition: channels of a side input, 0 for none. Every position sees all of it, so it must not
            be computed from the modelled image, except through latents.
    """

    REACH = 1

    def __init__(
        self,
        inputs: int,
        outputs: int,
        channels: int,
        layers: int,
        reach: int,
        condition: int = 0,
    ) -> None:
        super().__init__()
        self.first_reach = reach
        self.first_vertical = Vertical(inputs, channels, reach)
        self.first_horizontal = Horizontal(inputs, channels, reach - 1)
        self.layers = nn.ModuleList(
            GatedLayer(channels, self.REACH, condition, last=number == layers)
            for number in range(1, layers + 1)
        )
        self.hidden = Convolution(channels, channels, (1, 1))
        self.output = Convolution(channels, outputs, (1, 1))

    @property
    def columns_aside(self) -> int:
        """The number of columns to either side of a position that its parameters can depend on."""
        return self.first_reach + self.REACH * len(self.layers)

    @property
    def rows_above(self) -> int:
        """The number of rows above a position that its parameters can depend on."""
        return self.columns_aside + 1

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map ``x [batch, inputs, h, w]`` to ``[batch, outputs, h, w]``.

        Args:
            condition: ``[batch, condition, h, w]``.
        """
        vertical = self.first_vertical(x)
        # the first horizontal window leaves out the position itself (mask A)
        horizontal = self.first_horizontal(shift_right(x))
        for layer in self.layers:
            vertical, horizontal = layer(vertical, horizontal, condition)
        hidden = functional.relu(self.hidden(functional.relu(horizontal)))
        parameters: Tensor = self.output(hidden)
        return parameters

    @torch.no_grad()
    def sample(
        self,
        x: Tensor,
        draw: Callable[[Tensor, int, int], Tensor],
        condition: Tensor | None = None,
    ) -> Tensor:
        """Fill ``x [batch, inputs, h, w]`` with draws in raster order, in place.

        Each position is computed from the window that it can see alone.

        Args:
            draw: maps parameters ``[batch, outputs, 1, 1]``, row and column to a draw ``[batch,
                inputs, 1, 1]``.
        """
        for row in range(x.shape[-2]):
            rows = slice(max(0, row - self.rows_above), row + 1)
            for column in range(x.shape[-1]):
                left = max(0, column - self.columns_aside)
                seen = (..., rows, slice(left, column + self.columns_aside + 1))
                parameters = self(x[seen], None if condition is None else condition[seen])
                at = parameters[..., -1:, column - left : column - left + 1]
                x[..., row : row + 1, column : column + 1] = draw(at, row, column)
        return x
