"""How many pictures an evaluation stores, and how: as bytes.

Costs are estimated from these numbers and verification compares these bytes, so that this module does
without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

#: samples and reconstructions that are stored
PICTURES = 100
#: the same of a model with convolutional networks, whose decoder may draw pixel by pixel
CONVOLUTIONAL_PICTURES = 36


def as_bytes(images: Tensor) -> np.ndarray:
    """Round images with intensities from 0 to 1 to uint8."""
    return np.asarray((255 * images).round().byte().numpy())
