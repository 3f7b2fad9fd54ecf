"""The cost of models of convolutional networks, and of the prior of their codes.

Convolutions stay in float32 whatever ``compute.precision`` says, and so does their cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rungs.data.image_shape import ImageShape
from rungs.models.cost import BASE_MEMORY_MB, Cost, Request

#: multiply-adds a second of one core in convolutions of few channels, everything included
RATE = 6.5e9


def estimate(request: Request) -> Cost:
    """The cost of a run, of its evaluation and of its prior."""
    settings = request.settings
    once, each = multiply_adds(settings)
    training = settings["training"]
    train = 3 * request.train_images * request.epochs * (once + each) / RATE
    draws = request.samples if request.sampled else 2
    evaluate = request.evaluations * request.evaluated_images * (once + draws * each) / RATE
    evaluate += request.drawn * sampling_multiply_adds(settings) / RATE
    learning = 0.0
    if request.prior is not None:
        images = request.train_images * request.prior_epochs
        learning = 3 * images * prior_multiply_adds(request.prior) / RATE
    data = request.train_images * request.pixels
    live = 4e-6 * 60 * training["batch_size"] * widest(settings)
    memory = BASE_MEMORY_MB + live + 1e-6 * request.image_bytes
    return Cost(train, evaluate, memory, 5 + 2e-6 * data, learning)


def _residual(channels: int, layers: Mapping[str, Any]) -> int:
    hidden = layers["residual_channels"]
    return int(layers["residual_blocks"]) * (9 * channels * hidden + hidden * channels)


def _pixelcnn(inputs: int, outputs: int, channels: int, layers: int, reach: int, given: int) -> int:
    """Multiply-adds of a PixelCNN at one position."""
    first = inputs * channels * ((reach + 1) * (2 * reach + 1) + reach)
    layer = channels * 2 * channels * (2 * 3 + 2) + 4 * channels**2 + channels**2
    conditioning = (4 * layers - 2) * channels * given
    # the last layer's 1x1 across is a part of its vertical convolution
    layered = layers * layer - 4 * channels**2
    return first + layered + conditioning + channels**2 + channels * outputs


def multiply_adds(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Multiply-adds of one forward pass of an image: of encoder and quantiser, and of the decoder."""
    network = settings["network"]
    shape = ImageShape.of(network["shape"])
    grid = math.prod(shape.grid)
    layers = network["convolutional"]
    channels = layers["channels"]
    half = channels // 2
    if "vq" in network:
        inner = outer = network["vq"]["code_dim"]
        quantiser = network["codes"] * inner
    else:
        inner, quantiser = network["latent_sizes"][0], 0
        outer = 2 * inner
    encoder = 16 * shape.channels * half * 4 + 16 * half * channels
    encoder += _residual(channels, layers) + channels * outer + quantiser
    parameters = layers["components"] * (1 + 2 * shape.channels)
    pixelcnn = network["pixelcnn"]
    autoregressive = network["decoder"] == "pixelcnn"
    mixture = network.get("prior", "gaussian") == "mixture"
    # its density at a draw; a multiply-add and an exponential a component
    density = network["prior_components"] * (2 * inner * grid + 8) if mixture else 0
    outputs = pixelcnn["channels"] if autoregressive else parameters
    decoder = 9 * inner * channels + _residual(channels, layers)
    decoder += 16 * channels * half + 16 * half * outputs * 4
    decoder = decoder * grid + density
    if autoregressive:
        decoder += (
            shape.height
            * shape.width
            * _pixelcnn(shape.channels, parameters, given=outputs, **pixelcnn)
        )
    return grid * encoder, decoder


def sampling_multiply_adds(settings: Mapping[str, Any]) -> int:
    """Multiply-adds of drawing one image and one reconstruction.

    From an autoregressive decoder every pixel needs a pass over the window that it sees
    (:meth:`rungs.models.pixelcnn.GatedPixelCNN.sample`).
    """
    network = settings["network"]
    shape = ImageShape.of(network["shape"])
    decoder = multiply_adds(settings)[1]
    if network["decoder"] != "pixelcnn":
        return decoder
    pixelcnn = network["pixelcnn"]
    aside = pixelcnn["reach"] + pixelcnn["layers"]
    window = min(aside + 2, shape.height) * min(2 * aside + 1, shape.width)
    return 2 * decoder * window


def prior_multiply_adds(settings: Mapping[str, Any]) -> int:
    """Multiply-adds of one forward pass of the prior over a grid of codes."""
    network = settings["network"]
    channels, codes = network["channels"], network["codes"]
    position = _pixelcnn(channels, codes, channels, network["layers"], 3, 0)
    return math.prod(network["grid"]) * position


def widest(settings: Mapping[str, Any]) -> int:
    """The number of values in the largest layer of an image."""
    network = settings["network"]
    shape = ImageShape.of(network["shape"])
    channels = network["convolutional"]["channels"] // 2
    if network["decoder"] == "pixelcnn":
        channels = max(channels, 4 * network["pixelcnn"]["channels"])
    return shape.height * shape.width * channels
