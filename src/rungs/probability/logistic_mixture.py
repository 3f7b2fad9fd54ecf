"""Discretised mixtures of logistics: likelihoods of 256 intensities.

A pixel's intensity v in {0, ..., 255} is a value drawn from a mixture of logistics and rounded: level
v has the mixture's mass between v - 1/2 and v + 1/2, and the two outermost levels have the tails as
well (Salimans et al. 2017, eq. 1 and 2). The colour channels of a pixel share its components and are
independent given the component; that paper's linear dependence between channels is left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 256
#: the width of a level on the scale from 0 to 1
LEVEL = 1.0 / (LEVELS - 1)
#: no component is narrower than e^-7 (Salimans et al. 2017), nor, against overflow, wider than e^4
MIN_LOG_SCALE, MAX_LOG_SCALE = -7.0, 4.0


def parameters_of(channels: int, components: int) -> int:
    """The number of parameters a pixel: for each component a weight, and a mean and a scale a channel."""
    return components * (1 + 2 * channels)


def split_parameters(parameters: Tensor, channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split ``[..., parameters, h, w]`` into logits, means and log-scales.

    Returns:
        Logits of the weights, ``[..., components, h, w]``; means and log-scales, ``[..., components,
        channels, h, w]``. A parameter of 0 puts a mean in the middle of the range.
    """
    components = parameters.shape[-3] // (1 + 2 * channels)
    logits, rest = parameters.split([components, 2 * channels * components], -3)
    means, scales = rest.unflatten(-3, (2, components, channels)).unbind(-5)
    # scales start at e^-2: about a fifth of the range on either side of the mean
    return logits, means + 0.5, (scales - 2).clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)


def logistic_mixture_log_likelihood(x: Tensor, parameters: Tensor) -> Tensor:
    """``log p(x)`` of 256-level images, summed over pixels and channels.

    With a and b the standardised upper and lower edge of a level, the mass between them is
    ``sigmoid(a) sigmoid(-b) (1 - exp(b - a))``: a product, so its logarithm has no cancellation.

    Args:
        x: ``[batch, channels, h, w]``, multiples of 1/255 from 0 to 1.
        parameters: ``[..., batch, parameters, h, w]``.

    Returns:
        ``[..., batch]``, nats.

    Example:
        >>> levels = torch.arange(256.0).reshape(256, 1, 1, 1) / 255
        >>> p = logistic_mixture_log_likelihood(levels, torch.zeros(256, 6, 1, 1)).exp()
        >>> round(float(p.sum()), 4)
        1.0
    """
    logits, means, log_scales = split_parameters(parameters, x.shape[-3])
    x = x.unsqueeze(-4)
    inverse = (-log_scales).exp()
    width = LEVEL * inverse
    centre = (x - means) * inverse
    above = functional.logsigmoid(centre + 0.5 * width)
    below = functional.logsigmoid(0.5 * width - centre)
    between = torch.log(-torch.expm1(-width))
    # the outermost levels have the tails; all logarithms are finite, so products can select, and they are
    # faster than masks
    not_lowest, not_highest = (x >= 0.5 * LEVEL).to(x), (x <= 1 - 0.5 * LEVEL).to(x)
    mass = above * not_highest + below * not_lowest + between * (not_lowest * not_highest)
    if logits.shape[-3] == 1:  # the weight is 1; skipping it saves a tenth of a step of the VQ-VAE
        return mass.sum((-4, -3, -2, -1))
    weights = functional.log_softmax(logits, -3)
    return (weights + mass.sum(-3)).logsumexp(-3).sum((-1, -2))


def logistic_mixture_mean(parameters: Tensor, channels: int) -> Tensor:
    """The mean image, ``[..., channels, h, w]``, from 0 to 1.

    A logistic clipped to [0, 1] has the mean ``s (softplus(m/s) - softplus((m - 1)/s))``; rounding to
    levels changes it by far less than a level.
    """
    logits, means, log_scales = split_parameters(parameters, channels)
    scales = log_scales.exp()
    low, high = functional.softplus(means / scales), functional.softplus((means - 1) / scales)
    weights = logits.softmax(-3).unsqueeze(-3)
    return (weights * scales * (low - high)).sum(-4).clamp(0, 1)


def logistic_mixture_sample(parameters: Tensor, noise: Tensor) -> Tensor:
    """A draw ``[..., channels, h, w]``, multiples of 1/255.

    Args:
        parameters: ``[..., parameters, h, w]``.
        noise: uniform on (0, 1), ``[..., 1 + channels, h, w]``; the first channel picks the component.
    """
    channels = noise.shape[-3] - 1
    logits, means, log_scales = split_parameters(parameters, channels)
    chosen = categorical_sample(logits.movedim(-3, -1), noise[..., 0, :, :])
    index = chosen[..., None, None, :, :].expand(*means.shape[:-4], 1, *means.shape[-3:])
    mean = means.gather(-4, index).squeeze(-4)
    scale = log_scales.gather(-4, index).squeeze(-4).exp()
    drawn = mean + scale * torch.logit(noise[..., 1:, :, :], eps=1e-6)
    return (drawn.clamp(0, 1) * (LEVELS - 1)).round() / (LEVELS - 1)


def categorical_sample(logits: Tensor, noise: Tensor) -> Tensor:
    """Draws ``[...]`` from categories ``[..., categories]``, by inverting their cumulative distribution.

    Args:
        noise: uniform on (0, 1), ``[...]``.
    """
    cumulative = logits.double().softmax(-1).cumsum(-1)
    drawn = (noise.unsqueeze(-1) > cumulative).sum(-1)
    return drawn.clamp_max(logits.shape[-1] - 1)


def bits_per_dimension(nats: float, dimensions: int) -> float:
    """Convert a log-likelihood in nats an image to bits per dimension.

    >>> bits_per_dimension(-784 * 8 * math.log(2), 784)
    8.0
    """
    return -nats / (dimensions * math.log(2))
