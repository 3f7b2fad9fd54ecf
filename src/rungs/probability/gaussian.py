"""Log-densities and divergences, per unit, in nats.

Functions return one value a unit and leave the sum to the caller: active units are
counted by each unit's own term.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from rungs.numerics.custom_op import opaque

LOG_TWO_PI = math.log(2 * math.pi)


class Distribution(Protocol):
    """A density over ``[..., units]``: a prior or a posterior of one layer.

    ``log_density`` and ``divergence`` have one term a unit where the density factorises, else a
    single one for all units together: ``[..., units]`` or ``[..., 1]``.
    """

    @property
    def mean(self) -> Tensor:
        """The mean, ``[..., units]``."""
        ...

    def log_density(self, z: Tensor) -> Tensor:
        """``log p(z)``, nats."""
        ...

    def divergence(self, other: Any) -> Tensor:
        """``KL(self || other)``, nats."""
        ...


@dataclass(frozen=True)
class DiagonalGaussian:
    """Independent Gaussians, one a unit: N(mean, variance).

    Attributes:
        mean: ``[..., units]``.
        variance: ``[..., units]``, positive, broadcastable to ``mean``.

    Example:
        >>> standard = DiagonalGaussian(torch.zeros(2), torch.ones(2))
        >>> standard.log_density(torch.zeros(2))
        tensor([-0.9189, -0.9189])
        >>> DiagonalGaussian(torch.ones(2), torch.ones(2)).divergence(standard)
        tensor([0.5000, 0.5000])
    """

    mean: Tensor
    variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Reparameterised draw ``mean + sqrt(variance) * noise`` (Kingma and Welling 2014).

        Args:
            noise: standard Gaussian, broadcastable with ``mean``, e.g. ``[samples, batch, units]``.
        """
        return torch.addcmul(self.mean, self.variance.sqrt(), noise)

    def log_density(self, z: Tensor) -> Tensor:
        """``log N(z; mean, variance)`` of every unit, ``[..., units]``."""
        return -0.5 * (LOG_TWO_PI + self.variance.log() + (z - self.mean).square() / self.variance)

    def log_ratio(self, other: DiagonalGaussian, z: Tensor) -> Tensor:
        """``log self(z) - log other(z)`` of every unit, ``[..., units]``, in half the passes that the
        two densities take."""
        own, others = (z - self.mean).square(), (z - other.mean).square()
        ratio = torch.addcdiv((other.variance / self.variance).log(), others, other.variance)
        return 0.5 * torch.addcdiv(ratio, own, self.variance, value=-1)

    def divergence(self, other: DiagonalGaussian) -> Tensor:
        """``KL(self || other)`` of every unit, ``[..., units]``, in closed form:

        ``(log(v2/v1) + (v1 + (m1 - m2)^2)/v2 - 1) / 2``.
        """
        ratio = self.variance / other.variance
        distance = (self.mean - other.mean).square() / other.variance
        return 0.5 * (ratio + distance - 1 - ratio.log())

    @staticmethod
    def concatenate(
        parts: Sequence[DiagonalGaussian], shapes: Sequence[torch.Size]
    ) -> DiagonalGaussian:
        """Gaussians over different units as one, each first expanded to its shape."""
        means, variances = (
            torch.cat([getattr(p, n).expand(s) for p, s in zip(parts, shapes, strict=True)], -1)
            for n in ("mean", "variance")
        )
        return DiagonalGaussian(means, variances)

    def merge(self, other: DiagonalGaussian) -> DiagonalGaussian:
        """The normalised product of two Gaussian densities: precisions add.

        This is the ladder's merge of bottom-up evidence with the top-down prior
        (Sonderby et al. 2016, eq. 17 to 19).
        """
        total = self.variance + other.variance
        mean = (self.mean * other.variance + other.mean * self.variance) / total
        return DiagonalGaussian(mean, self.variance * other.variance / total)


def standard_gaussian_like(tensor: Tensor) -> DiagonalGaussian:
    """N(0, 1) for every unit of ``tensor [..., units]``, on its device."""
    units = tensor.shape[-1]
    # no larger than must be: the logarithm of the variance is taken of a row of ones
    return DiagonalGaussian(tensor.new_zeros(units).expand_as(tensor), tensor.new_ones(units))


def bernoulli_log_likelihood(x: Tensor, logits: Tensor, bias: Tensor | None = None) -> Tensor:
    """``log p(x)`` of independent Bernoulli pixels given by logits, summed over pixels.

    Exact for x in {0, 1}, for which it is ``sum log sigmoid(s * logit)`` with ``s = 2 x - 1``, and
    stable for any logit.

    Args:
        x: ``[batch, pixels]`` of zeros and ones.
        logits: ``[..., batch, pixels]``; under ``torch.no_grad`` they are overwritten, which
            spares a pass over the largest array there is.
        bias: ``[pixels]``, added to the logits; in the same pass as the signs it costs nothing.

    Returns:
        ``[..., batch]``, nats.
    """
    signs = 2 * x - 1
    if torch.is_grad_enabled():
        total, _ = _BernoulliLogLikelihood.apply(logits if bias is None else logits + bias, signs)
        return total
    owned = logits if logits.is_contiguous() else logits.contiguous()
    if bias is None:
        owned.mul_(signs)
    else:
        torch.addcmul(bias * signs, owned, signs, out=owned)
    return log_sigmoid_total(owned)[0]


#: the most factors in [0, 1] that are multiplied before a logarithm is taken, tried in turn: in the
#: first epochs most batches have a product of 112 that underflows
LARGEST_GROUPS = (112, 16)
#: products below this have lost precision, or are zero
SMALLEST_PRODUCT = {torch.float32: 1e-36, torch.float64: 1e-300}


@opaque("log_sigmoid_total(Tensor logits) -> (Tensor, Tensor)")
def log_sigmoid_total(logits: Tensor) -> tuple[Tensor, Tensor]:
    """``sum log sigmoid(logit)`` over the last axis with few passes: a logarithm costs more than all
    else here, so probabilities are multiplied in groups before it is taken.

    A product of n rounded factors is wrong by about n rounding errors, relative, so its logarithm is
    as exact as the sum of n logarithms; unless it underflows, which takes an image that is wrong in
    most of a group's pixels. Then groups are smaller or, in the end, logarithms are summed. On a GPU,
    where looking would stall it and logarithms are free, they always are.

    Args:
        logits: ``[..., n]``.

    Returns:
        The sum ``[...]``, nats, and the probabilities ``[..., n]``.
    """
    n = logits.shape[-1]
    if logits.device.type != "cpu":
        return functional.logsigmoid(logits).sum(-1), logits.sigmoid()
    probabilities = logits.sigmoid()
    for largest in LARGEST_GROUPS:
        group = max(size for size in range(1, min(n, largest) + 1) if n % size == 0)
        products = probabilities.unflatten(-1, (n // group, group)).prod(-1)
        if not products.numel() or float(products.min()) >= SMALLEST_PRODUCT[products.dtype]:
            return products.log_().sum(-1), probabilities
    return functional.logsigmoid(logits).sum(-1), probabilities


class _BernoulliLogLikelihood(torch.autograd.Function):
    """``sum log sigmoid(s * logit)``, ``s = 2 x - 1``, with few passes over the logits.

    A logarithm costs more than all else here, so probabilities are multiplied in groups before
    it is taken (:func:`log_sigmoid_total`); the gradient ``s (1 - sigmoid)`` takes no further
    exponential.
    """

    @staticmethod
    def vmap(
        info: Any, axes: tuple[int | None, ...], logits: Tensor, signs: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        """A batched axis is one more leading dimension."""
        logits, signs = (
            tensor.unsqueeze(0) if axis is None else tensor.movedim(axis, 0)
            for tensor, axis in zip((logits, signs), axes, strict=True)
        )
        while signs.dim() < logits.dim():
            signs = signs.unsqueeze(1)
        total, probabilities = _BernoulliLogLikelihood.apply(logits, signs)
        return (total, probabilities), (0, 0)

    @staticmethod
    def forward(logits: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
        """The log-likelihood ``[...]`` and, for the gradient, the probabilities ``[..., pixels]``."""
        total, probabilities = torch.ops.rungs.log_sigmoid_total(logits * signs)
        return total, probabilities

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep what the gradient needs."""
        ctx.save_for_backward(output[1], inputs[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None]:
        """``gradient * s (1 - sigmoid(s logit))``."""
        probabilities, signs = ctx.saved_tensors
        return gradient.unsqueeze(-1) * torch.addcmul(signs, signs, probabilities, value=-1), None
