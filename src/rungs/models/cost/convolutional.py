"""Multiply-adds of the convolutional networks, counted from a run's settings without torch."""

from __future__ import annotations

import math
from typing import Any

from rungs.data.image_shape import ImageShape
from rungs.study.settings import RunSettings


def _residual(channels: int, settings: dict[str, Any]) -> int:
    hidden = settings["residual_channels"]
    return int(settings["residual_blocks"]) * (9 * channels * hidden + hidden * channels)


def _pixelcnn(inputs: int, outputs: int, channels: int, layers: int, reach: int, given: int) -> int:
    """Of one position."""
    first = inputs * channels * ((reach + 1) * (2 * reach + 1) + reach)
    layer = channels * 2 * channels * (2 * 3 + 2) + 4 * channels**2 + channels**2
    conditioning = (4 * layers - 2) * channels * given
    # the last layer's 1x1 across is a part of its vertical convolution
    layered = layers * layer - 4 * channels**2
    return first + layered + conditioning + channels**2 + channels * outputs


def multiply_adds(spec: RunSettings) -> tuple[int, int]:
    """Of one forward pass of an image: of encoder and quantiser, and of the decoder."""
    network = spec["network"]
    shape = ImageShape.of(network["shape"])
    grid = math.prod(shape.grid)
    settings = network["convolutional"]
    channels = settings["channels"]
    half = channels // 2
    if "vq" in network:
        inner = outer = network["vq"]["code_dim"]
        quantiser = network["codes"] * inner
    else:
        inner, quantiser = network["latent_sizes"][0], 0
        outer = 2 * inner
    encoder = 16 * shape.channels * half * 4 + 16 * half * channels
    encoder += _residual(channels, settings) + channels * outer + quantiser
    parameters = settings["components"] * (1 + 2 * shape.channels)
    pixelcnn = network["pixelcnn"]
    autoregressive = network["decoder"] == "pixelcnn"
    outputs = pixelcnn["channels"] if autoregressive else parameters
    decoder = 9 * inner * channels + _residual(channels, settings)
    decoder += 16 * channels * half + 16 * half * outputs * 4
    decoder *= grid
    if autoregressive:
        decoder += (
            shape.height
            * shape.width
            * _pixelcnn(shape.channels, parameters, given=outputs, **pixelcnn)
        )
    return grid * encoder, decoder


def sampling_multiply_adds(spec: RunSettings) -> int:
    """Of drawing one image, and one reconstruction: from an autoregressive decoder every pixel needs
    a pass over the window that it sees (:meth:`rungs.models.pixelcnn.GatedPixelCNN.sample`)."""
    network = spec["network"]
    shape = ImageShape.of(network["shape"])
    decoder = multiply_adds(spec)[1]
    if network["decoder"] != "pixelcnn":
        return decoder
    pixelcnn = network["pixelcnn"]
    aside = pixelcnn["reach"] + pixelcnn["layers"]
    window = min(aside + 2, shape.height) * min(2 * aside + 1, shape.width)
    return 2 * decoder * window


def prior_multiply_adds(spec: RunSettings) -> int:
    """Of one forward pass of the prior over a grid of codes."""
    network = spec["network"]
    channels, codes = network["channels"], network["codes"]
    position = _pixelcnn(channels, codes, channels, network["layers"], 3, 0)
    return math.prod(network["grid"]) * position


def widest(spec: RunSettings) -> int:
    """Values of an image's largest layer."""
    network = spec["network"]
    shape = ImageShape.of(network["shape"])
    channels = network["convolutional"]["channels"] // 2
    if network["decoder"] == "pixelcnn":
        channels = max(channels, 4 * network["pixelcnn"]["channels"])
    return shape.height * shape.width * channels
