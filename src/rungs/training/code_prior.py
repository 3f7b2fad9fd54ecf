"""The training data of a prior of codes: the codes of the training images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rungs.models.code_prior import pack_codes

#: images that are encoded at once
ROWS = 250


@torch.no_grad()
def training_codes(model: Any, images: Tensor) -> Tensor:
    """Encode uint8 ``images [n, pixels]``, some at a time; packed codes ``[n, 2 positions]``."""
    return pack_codes(torch.cat([model.codes(part.float() / 255) for part in images.split(ROWS)]))
