"""Dense networks that all models share, and their initialisation.

The recipe is the released one of Sonderby et al. 2016: two dense layers a level, leaky
rectifiers of slope 0.01, batch normalisation on every dense layer (including those of mean and
variance) except the pixels' output. Weights start Glorot-normal, those before a rectifier with a gain of
root 2; biases of the layers that give a variance start at 1, all others at 0 (run_models.py of
casperkaae/LVAE at 066858a, lines 358 to 362). The release draws the heads of its ladder from a uniform
distribution of the same variance; here all are normal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from rungs.probability.gaussian import DiagonalGaussian

#: of the leaky rectifiers
SLOPE = 0.01
#: added to the variance of every Gaussian posterior and conditional prior
MIN_VARIANCE = 1e-5
#: of the initial weights before a rectifier: it halves the mean square (He et al. 2015)
RECTIFIER_GAIN = math.sqrt(2)
#: the initial bias below the softplus of a variance
VARIANCE_BIAS = 1.0
BATCH_NORM_EPSILON = 1e-5


class BatchNorm(nn.Module):
    """Batch normalisation with the statistics of the whole training set for testing.

    In training it normalises by the batch. For testing, :func:`collect_statistics` passes the
    training set through the model once and stores the exact mean and variance; there is no running
    average.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, units: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(units))
        self.shift = nn.Parameter(torch.zeros(units))
        self.register_buffer("mean", torch.zeros(units))
        self.register_buffer("variance", torch.ones(units))
        self.collected: tuple[int, Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x [..., units]`` by the moments of its leading dimensions."""
        # After a view, even a trivial one, the in-place rectifier would copy everything.
        flat = x if x.dim() == 2 else x.reshape(-1, x.shape[-1])
        if self.collected is not None:
            count, total, squares = self.collected
            wide = flat.detach().double()
            self.collected = (
                count + len(flat),
                total + wide.sum(0),
                squares + wide.square().sum(0),
            )
        flat = functional.batch_norm(
            flat, None, None, self.scale, self.shift, training=True, eps=BATCH_NORM_EPSILON
        )
        return flat if x.dim() == 2 else flat.reshape(x.shape)

    def start_collecting(self) -> None:
        """Begin to add up the moments of the inputs."""
        zeros = torch.zeros_like(self.mean, dtype=torch.float64)
        self.collected = (0, zeros, zeros)

    def finish_collecting(self) -> None:
        """Store the moments of all inputs since :meth:`start_collecting`."""
        assert self.collected is not None, "start_collecting comes first"
        count, total, squares = self.collected
        mean = total / count
        self.mean.copy_(mean)
        self.variance.copy_((squares / count - mean.square()).clamp_min(0))
        self.collected = None


class Dense(nn.Module):
    """An affine layer, batch-normalised or not.

    Attributes:
        narrow: whether the operands of the product are rounded to bfloat16 (see
            :mod:`rungs.models.arithmetic`).
        emulated: whether the rounded operands are then multiplied as float32, in which their products
            are exact. Without hardware support torch's own bfloat16 product is 50 times slower.
        inner: whether a result that is ``narrow``, its bias included, stays bfloat16, because another dense
            layer follows that would round it: passes over half as many bytes, and none to convert.
        blocks: for a head, which is several affine layers in one matrix: the outputs of each. Each
            block is initialised by its own fan-out; outputs after the last block start at 0.
        biases: for a head, the initial bias of each block; None is 0. Under batch normalisation a bias
            has no effect, here as in the release.
        gain: of the initial weights.
    """

    narrow = False
    emulated = False
    inner = False

    def __init__(self, inputs: int, outputs: int, batch_norm: bool, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain
        self.blocks: list[int] | None = None
        self.biases: list[float] | None = None
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.norm = BatchNorm(outputs) if batch_norm else None
        # Batch normalisation has its own shift: a bias before it would have no effect.
        self.bias = None if batch_norm else nn.Parameter(torch.zeros(outputs))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw Glorot-normal weights and set the biases, block by block."""
        if self.blocks is None:
            draw_glorot(self.weight, generator, self.gain)
            return
        with torch.no_grad():
            self.weight.zero_()
            for block in self.weight[: sum(self.blocks)].split(self.blocks):
                draw_glorot(block, generator, self.gain)
            if self.biases is not None and self.bias is not None:
                starts = self.bias[: sum(self.blocks)].split(self.blocks)
                for block, value in zip(starts, self.biases, strict=True):
                    block.fill_(value)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., inputs]`` to ``[..., outputs]``."""
        if self.norm is None:
            return self.product(x, self.weight, self.bias)
        if self.training:
            normalised: Tensor = self.norm(self.product(x, self.weight))
            return normalised
        # In testing the normalisation is affine; folded into the weights it costs nothing.
        scale = self.norm.scale * (self.norm.variance + BATCH_NORM_EPSILON).rsqrt()
        shift = self.norm.shift - self.norm.mean * scale
        return self.product(x, self.weight * scale[:, None], shift)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """``x weight^T + bias`` in the layer's arithmetic; the result is bfloat16 where the layer is
        ``narrow`` and ``inner``, else float32 or wider."""
        if not self.narrow:
            return functional.linear(x, weight, bias)
        terms = [x, weight] if bias is None or not self.inner else [x, weight, bias]
        terms = [term.bfloat16() for term in terms]
        if self.emulated:
            terms = [term.float() for term in terms]
        product = functional.linear(*terms).bfloat16()
        if self.inner:
            return product
        product = product.to(torch.promote_types(x.dtype, torch.float32))
        return product if bias is None else product + bias


@dataclass(frozen=True)
class Activation:
    """What follows a dense layer of an :class:`MLP`.

    Attributes:
        function: changes its argument or returns another tensor.
        gain: of the layer's initial weights.
        outputs: that the layer has for each hidden unit.
    """

    function: Callable[[Tensor], Tensor]
    gain: float = 1.0
    outputs: int = 1


#: leaky rectifiers (Sonderby et al. 2016), tanh (Burda et al. 2016), and gated units, an affine map times
#: the sigmoid of another (Dauphin et al. 2017; Tomczak and Welling 2018)
ACTIVATIONS = {
    "leaky": Activation(lambda x: functional.leaky_relu_(x, SLOPE), RECTIFIER_GAIN),
    "tanh": Activation(torch.tanh_),
    "gated": Activation(lambda x: functional.glu(x, -1), outputs=2),
}


class MLP(nn.Module):
    """Two dense layers, each with an activation.

    Args:
        inputs, hidden: units.
        activation: a key of :data:`ACTIVATIONS`.
    """

    def __init__(
        self, inputs: int, hidden: int, batch_norm: bool, activation: str = "leaky"
    ) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        outputs, gain = self.activation.outputs, self.activation.gain
        self.first = Dense(inputs, outputs * hidden, batch_norm, gain)
        self.second = Dense(hidden, outputs * hidden, batch_norm, gain)
        self.first.inner = self.second.inner = True
        if outputs > 1:
            self.first.blocks = self.second.blocks = outputs * [hidden]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., inputs]`` to ``[..., hidden]``, for a dense layer: see :attr:`Dense.inner`."""
        activate = self.activation.function
        return activate(self.second(activate(self.first(x))))


class GaussianHead(nn.Module):
    """Mean (linear) and variance (softplus + 1e-5) from one affine layer."""

    def __init__(self, inputs: int, units: int, batch_norm: bool) -> None:
        super().__init__()
        self.affine = Dense(inputs, 2 * units, batch_norm)
        self.affine.blocks = [units, units]
        self.affine.biases = [0.0, VARIANCE_BIAS]

    def forward(self, hidden: Tensor) -> DiagonalGaussian:
        """A Gaussian over ``[..., units]``."""
        mean, raw = self.affine(hidden).chunk(2, -1)
        return DiagonalGaussian(mean, functional.softplus(raw) + MIN_VARIANCE)


class GaussianMLP(nn.Module):
    """A conditional Gaussian with an MLP for its parameters."""

    def __init__(
        self, inputs: int, hidden: int, units: int, batch_norm: bool, activation: str = "leaky"
    ) -> None:
        super().__init__()
        self.hidden = MLP(inputs, hidden, batch_norm, activation)
        self.head = GaussianHead(hidden, units, batch_norm)

    def forward(self, x: Tensor) -> DiagonalGaussian:
        """A Gaussian over ``[..., units]`` given ``x [..., inputs]``."""
        gaussian: DiagonalGaussian = self.head(self.hidden(x))
        return gaussian


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """Call the method ``initialise`` of every submodule that has one, to draw its parameters.

    Parameters that are not drawn or set keep the values that they are constructed with: biases and
    shifts 0, scales 1.
    """
    for module in model.modules():
        if callable(own := getattr(module, "initialise", None)):
            own(generator)


def draw_glorot(weight: Tensor, generator: torch.Generator, gain: float = 1.0) -> None:
    """Fill a weight ``[outputs, inputs, ...]`` with Glorot-normal numbers (Glorot and Bengio 2010).

    Their standard deviation is ``gain sqrt(2 / (inputs + outputs))``, each times the size of the window.
    It draws nothing for a layer without inputs or outputs.
    """
    if weight.numel():
        nn.init.xavier_normal_(weight, gain, generator=generator)


def collect_statistics(
    model: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object]
) -> None:
    """Set the test statistics of every :class:`BatchNorm` by one pass over ``batches``.

    The pass itself normalises by the batch, as in training.
    """
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    if not norms:
        return
    was_training = model.training
    model.train()
    for norm in norms:
        norm.start_collecting()
    with torch.no_grad():
        for batch in batches:
            forward(batch)
        for norm in norms:
            norm.finish_collecting()
    model.train(was_training)
