"""The layout of a data set's images in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: the strided convolutions halve height and width twice
REDUCTION = 4
#: an axis of at most so many entries is that of the colours
MAX_CHANNELS = 4


@dataclass(frozen=True)
class ImageShape:
    """Channels, height and width of a flattened image.

    Attributes:
        channels_last: whether the colours of a pixel lie side by side.

    Example:
        >>> ImageShape.of((28, 28)).grid
        (7, 7)
        >>> ImageShape.of((32, 32, 3)).channels_last, ImageShape.of((3, 32, 32)).channels_last
        (True, False)
    """

    channels: int
    height: int
    width: int
    channels_last: bool = False

    @classmethod
    def of(cls, shape: Sequence[int]) -> ImageShape:
        """The shape of a data set: ``(h, w)``, ``(h, w, channels)`` or ``(channels, h, w)``.

        Raises:
            ValueError: if it is none of these, or not divisible by 4.
        """
        match list(shape):
            case [height, width]:
                found = cls(1, height, width)
            case [height, width, channels] if channels <= MAX_CHANNELS:
                found = cls(channels, height, width, channels_last=True)
            case [channels, height, width] if channels <= MAX_CHANNELS:
                found = cls(channels, height, width)
            case _:
                raise ValueError(f"images of shape {tuple(shape)}: expected (h, w) or (h, w, 3)")
        if found.height % REDUCTION or found.width % REDUCTION:
            raise ValueError(f"images of shape {tuple(shape)}: sides must be divisible by 4")
        return found

    @property
    def pixels(self) -> int:
        """Values of an image."""
        return self.channels * self.height * self.width

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the latent grid."""
        return self.height // REDUCTION, self.width // REDUCTION
