"""Likelihoods p(x|z), given by the outputs of a decoder.

Each has ``log p(x)`` of an image of bits or of 256 grey levels, and the mean image. Grey levels have a
*discretised* likelihood: a density integrated over each level's bin, the outermost bins being open.
The 256 probabilities add up to 1, so that bits per dimension are those of a code.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from rungs.probability.bernoulli import bernoulli_log_likelihood

#: half the width of a grey level on the scale from 0 to 1
HALF_BIN = 0.5 / 255
#: least log-scale: a hundredth of a bin
MIN_LOG_SCALE = -10.0
MAX_LOG_SCALE = 4.0
#: added to the decoder's output, so that scales start at e^-2: a density about half as wide as the
#: range of intensities
INITIAL_LOG_SCALE = -2.0


class Likelihood(Protocol):
    """A density of images, parametrised by a decoder's output ``[..., outputs * pixels]``.

    Attributes:
        outputs: the number of parameters a pixel.
        binary: True if images are bits, False if they are grey levels, multiples of 1/255.
    """

    outputs: int
    binary: bool

    def log_probability(self, x: Tensor, output: Tensor) -> Tensor:
        """``log p(x)`` of ``x [batch, pixels]``, summed over pixels, ``[..., batch]``, nats."""
        ...

    def mean(self, output: Tensor) -> Tensor:
        """The mean image, ``[..., pixels]``, from 0 to 1."""
        ...


class Bernoulli:
    """Independent bits given by logits."""

    outputs, binary = 1, True

    def log_probability(self, x: Tensor, output: Tensor) -> Tensor:
        """See :class:`Likelihood`."""
        return bernoulli_log_likelihood(x, output)

    def mean(self, output: Tensor) -> Tensor:
        """See :class:`Likelihood`."""
        return torch.sigmoid(output)


class Discretised:
    """A location-scale density, integrated over the bin of each of the 256 grey levels.

    The decoder gives a pixel's location (before a sigmoid) and its log-scale.
    """

    outputs, binary = 2, False

    def parameters(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The location and the log-scale, ``[..., pixels]``."""
        location, log_scale = output.chunk(2, -1)
        return location.sigmoid(), (log_scale + INITIAL_LOG_SCALE).clamp(
            MIN_LOG_SCALE, MAX_LOG_SCALE
        )

    def level_log_probability(self, x: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
        """``log P(level)`` of every pixel for x from 0 to 1; the bins of 0 and 1 are open."""
        inverse = (-log_scale).exp()
        above = (x - location + HALF_BIN) * inverse
        below = (x - location - HALF_BIN) * inverse
        inside = self.log_interval(below, above)
        inside = torch.where(x > 1 - HALF_BIN, self.log_cdf(-below), inside)
        return torch.where(x < HALF_BIN, self.log_cdf(above), inside)

    def log_probability(self, x: Tensor, output: Tensor) -> Tensor:
        """See :class:`Likelihood`."""
        return self.level_log_probability(x, *self.parameters(output)).sum(-1)

    def mean(self, output: Tensor) -> Tensor:
        """The location, which is the mean up to the effect of the open bins."""
        return self.parameters(output)[0]

    def log_cdf(self, value: Tensor) -> Tensor:
        """``log F(value)`` of the standard density, which is symmetric."""
        raise NotImplementedError

    def log_interval(self, below: Tensor, above: Tensor) -> Tensor:
        """``log (F(above) - F(below))``."""
        raise NotImplementedError


class DiscretisedLogistic(Discretised):
    """The logistic density (Kingma et al. 2016; Salimans et al. 2017)."""

    def log_cdf(self, value: Tensor) -> Tensor:
        """``log sigmoid(value)``."""
        return functional.logsigmoid(value)

    def log_interval(self, below: Tensor, above: Tensor) -> Tensor:
        """``sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a))``: no cancellation."""
        width = torch.log(-torch.expm1(below - above))
        return functional.logsigmoid(above) + functional.logsigmoid(-below) + width


class DiscretisedGaussian(Discretised):
    """The Gaussian density."""

    def log_cdf(self, value: Tensor) -> Tensor:
        """``log Phi(value)``."""
        return torch.special.log_ndtr(value)

    def log_interval(self, below: Tensor, above: Tensor) -> Tensor:
        """Computed in the lower tail, where the difference does not cancel."""
        flip = below + above > 0
        low = torch.where(flip, -above, below)
        high = torch.where(flip, -below, above)
        upper, lower = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
        return upper + torch.log(-torch.expm1(lower - upper))


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "logistic": DiscretisedLogistic,
    "gaussian": DiscretisedGaussian,
}
