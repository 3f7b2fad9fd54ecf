"""The log-likelihood of binary images, with few passes over the logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rungs.numerics.custom_op import opaque


def bernoulli_log_likelihood(x: Tensor, logits: Tensor, bias: Tensor | None = None) -> Tensor:
    """``log p(x)`` of independent Bernoulli pixels given by logits, summed over pixels.

    It is ``sum log sigmoid(s * logit)`` with ``s = 2 x - 1``: exact for x in {0, 1} and stable for any
    logit.

    Args:
        x: ``[batch, pixels]`` of zeros and ones.
        logits: ``[..., batch, pixels]``; under ``torch.no_grad`` they are overwritten, which saves a
            pass over the largest array of an evaluation.
        bias: ``[pixels]``, added to the logits, at no cost because the signs need a pass anyway.

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


#: the largest numbers of probabilities that are multiplied before a logarithm is taken, tried in turn:
#: in the first epochs most batches have a product of 112 that underflows
LARGEST_GROUPS = (112, 16)
#: products below this have lost precision, or are zero
SMALLEST_PRODUCT = {torch.float32: 1e-36, torch.float64: 1e-300}


@opaque("log_sigmoid_total(Tensor logits) -> (Tensor, Tensor)")
def log_sigmoid_total(logits: Tensor) -> tuple[Tensor, Tensor]:
    """``sum log sigmoid(logit)`` over the last axis, with few logarithms.

    A logarithm costs more than the rest, so probabilities are multiplied in groups before it is taken.
    A product of n rounded factors has a relative error of about n rounding errors, so its logarithm is
    as exact as the sum of n logarithms, unless the product underflows: that takes an image that is
    wrong in most of a group's pixels. Then smaller groups are tried and, as a last resort, logarithms
    are summed. On a GPU they always are: logarithms are cheap there, and looking at the products would
    stall it.

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
    """``sum log sigmoid(s * logit)``, ``s = 2 x - 1`` (:func:`log_sigmoid_total`).

    The gradient ``s (1 - sigmoid)`` reuses the probabilities and needs no further exponential.
    """

    @staticmethod
    def vmap(
        info: Any, axes: tuple[int | None, ...], logits: Tensor, signs: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        """Treat a batched axis as one more leading dimension."""
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
        """Save the probabilities and signs for the gradient."""
        ctx.save_for_backward(output[1], inputs[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None]:
        """``gradient * s (1 - sigmoid(s logit))``."""
        probabilities, signs = ctx.saved_tensors
        return gradient.unsqueeze(-1) * torch.addcmul(signs, signs, probabilities, value=-1), None
