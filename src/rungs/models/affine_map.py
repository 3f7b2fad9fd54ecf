"""A learnt affine map of the latents before the decoder, whose steps are longer than other parameters'.

A decoder's first layer can undo any scale and shift of a latent, so the map adds no functions. It changes
how fast training finds them: Adam gives each weight of that layer a step of about the learning rate, which
makes the common scale of the weights of one latent the slow direction (docs/moments.md).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class AffineMap(nn.Module):
    """Maps every latent to ``(z - m) exp(g)``, with ``m = speed * location`` and ``g = speed * log_scale``.

    Adam's steps do not depend on the gradient's scale. Like those of
    :class:`rungs.models.vq.Codebook`, the parameters are therefore multiplied by ``speed``, which makes the
    steps of m and g ``speed`` times as long as those of all other parameters. Both start at 0, where the map
    is the identity.

    Args:
        units: of the latents.
        speed: above 0.
    """

    def __init__(self, units: int, speed: float) -> None:
        super().__init__()
        self.location = nn.Parameter(torch.zeros(units))
        self.log_scale = nn.Parameter(torch.zeros(units))
        self.speed = speed

    def forward(self, z: Tensor) -> Tensor:
        """Map ``z [..., units]``."""
        return (z - self.speed * self.location) * (self.speed * self.log_scale).exp()

    @torch.no_grad()
    def undo_scale(self, factor: float) -> None:
        """Give ``factor * z`` the image that z has had."""
        self.location.mul_(factor)
        self.log_scale.sub_(math.log(factor) / self.speed)
