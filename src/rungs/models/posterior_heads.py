"""Heads of posteriors that do not factorise over units (:mod:`rungs.probability.posteriors`).

A head maps hidden units to the parameters of a density by affine layers. (The head of the diagonal
Gaussian is :class:`rungs.models.networks.GaussianHead`.)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from rungs.models.networks import MIN_VARIANCE, Dense
from rungs.probability.posteriors import FullGaussian, MixturePosterior


class FullGaussianHead(nn.Module):
    """The mean and the Cholesky factor of a Gaussian from one affine layer.

    The diagonal of the factor is ``softplus + sqrt(1e-5)``. The entries below it are linear and start
    at 0, as a diagonal Gaussian: drawn at random they start as strong correlations, which training does
    not undo.
    """

    def __init__(self, inputs: int, units: int, batch_norm: bool) -> None:
        super().__init__()
        self.units = units
        self.affine = Dense(inputs, 2 * units + units * (units - 1) // 2, batch_norm)
        self.affine.blocks = [units, units]
        rows, columns = torch.tril_indices(units, units, -1)
        self.register_buffer("below", rows * units + columns, persistent=False)
        self.below: Tensor

    def forward(self, hidden: Tensor) -> FullGaussian:
        """A Gaussian over ``[batch, units]``."""
        below = self.units * (self.units - 1) // 2
        mean, diagonal, rest = self.affine(hidden).split([self.units, self.units, below], -1)
        diagonal = functional.softplus(diagonal) + math.sqrt(MIN_VARIANCE)
        flat = mean.new_zeros(*mean.shape[:-1], self.units**2)
        flat = flat.index_copy(-1, self.below, rest)
        return FullGaussian(
            mean, flat.unflatten(-1, (self.units, self.units)) + diagonal.diag_embed()
        )


class MixtureHead(nn.Module):
    """Weights (softmax), means (linear) and variances (softplus + 1e-5) of a mixture.

    Means are linear with random weights, so that components differ from the start.
    """

    def __init__(self, inputs: int, units: int, components: int, batch_norm: bool) -> None:
        super().__init__()
        self.shape = (components, units)
        self.logits = Dense(inputs, components, batch_norm)
        self.means = Dense(inputs, components * units, batch_norm)
        self.variances = Dense(inputs, components * units, batch_norm)

    def forward(self, hidden: Tensor) -> MixturePosterior:
        """A mixture over ``[batch, units]``."""
        variances = functional.softplus(self.variances(hidden)) + MIN_VARIANCE
        return MixturePosterior(
            self.logits(hidden).log_softmax(-1),
            self.means(hidden).unflatten(-1, self.shape),
            variances.unflatten(-1, self.shape),
        )
