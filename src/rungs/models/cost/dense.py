"""The cost of models of dense networks, with two hidden layers a level.

In bfloat16 the products of all dense layers are rounded in training, and those of p(x | z_1) in an
evaluation (:mod:`rungs.models.arithmetic`). What stays in float32 has terms of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rungs.models.cost import BASE_MEMORY_MB, CLASSES, Cost, Request

#: multiply-adds a second of one core in float32, in large products
RATE = 33e9


@dataclass(frozen=True)
class Core:
    """The speed of a core.

    Attributes:
        products: multiply-adds a second in the products that ``compute.precision`` may round.
        rest: the same in those that stay in float32.
        pixel: seconds besides products that a draw in an evaluation costs a pixel.
    """

    products: float
    rest: float
    pixel: float


#: arithmetic -> the core of :data:`rungs.models.cost.CORES`. Products are as fast as those of the VAE and of
#: the ladder alone (docs/speed.md); ``pixel`` is what L_5000 takes besides them, of the VAE there and of the
#: ladders in resources/evidence.
SPEEDS = {"float32": Core(RATE, RATE, 1.5e-9), "bfloat16": Core(200e9, 54e9, 0.9e-9)}
#: pixels that cost as much as a latent unit in a draw: its noise, and two densities
UNIT_PIXELS = 15
#: seconds a training step costs besides its multiply-adds: at least so much, and more a layer. Measured in
#: either arithmetic: what the faster core saves in bfloat16 it spends on conversions.
STEP_SECONDS, LAYER_SECONDS = 1.5e-3, 1.1e-3
#: seconds a pixel that a step costs besides its multiply-adds for each draw after the first: measured in
#: float32, of ``iwae-k50`` and of ``gauss-iw10``
DRAW_SECONDS = 5e-9
#: seconds of a probe with one number of labels at least; the steps and images a step of the networks that it
#: trains, and how many networks, of the smallest number of labels and of another, at most
#: (:mod:`rungs.evaluation.fine_tuning`, :mod:`rungs.evaluation.probe`)
PROBE_SECONDS, PROBE_STEPS, PROBE_BATCH, PROBE_NETWORKS = 8.0, 300, 100, (40, 10)
#: seconds of Adam's step a parameter, that of the gradients included
ADAM_SECONDS = 2e-9
#: multiply-adds of the six passes of a VAE/GAN's discriminator, an image, by trial
DISCRIMINATOR = 1e7


def bottom_up(request: Request) -> Cost:
    """The cost of a model that samples at every level of its upward pass."""
    return _estimate(request, *multiply_adds(request.settings, request.pixels))


def ladder(request: Request) -> Cost:
    """The cost of a ladder, whose upward pass is deterministic."""
    return _estimate(request, *ladder_multiply_adds(request.settings, request.pixels))


def vaegan(request: Request) -> Cost:
    """The cost of a VAE/GAN: that of a VAE, and its discriminator's in training."""
    cost = bottom_up(request)
    images = request.train_images * request.epochs
    seconds = 3 * DISCRIMINATOR * images / RATE
    return replace(cost, training_seconds=cost.training_seconds + seconds)


def multiply_adds(settings: Mapping[str, Any], pixels: int) -> tuple[int, int]:
    """Multiply-adds of one forward pass of an image: those once an image, and those once a draw."""
    encoders, rest = _levels(settings, pixels)
    # it samples from the second level on
    return encoders[0], sum(encoders) - encoders[0] + rest


def ladder_multiply_adds(settings: Mapping[str, Any], pixels: int) -> tuple[int, int]:
    """The same of a ladder."""
    encoders, rest = _levels(settings, pixels)
    return sum(encoders), rest


def _levels(settings: Mapping[str, Any], pixels: int) -> tuple[list[int], int]:
    """Multiply-adds of the encoder of each level, and those of the top-down networks, decoder and prior."""
    network = settings["network"]
    latents, hidden = network["latent_sizes"], network["hidden_sizes"]
    encoders = [
        _layers(network, size, width, 2 * units)
        for size, width, units in zip([pixels, *latents], hidden, latents, strict=False)
    ]
    top_down = sum(
        _layers(network, above, width, 2 * below)
        for below, above, width in zip(latents, latents[1:], hidden[1:], strict=False)
    )
    rest = decoder_multiply_adds(settings, pixels) + density_multiply_adds(settings)
    return encoders, top_down + rest


def _layers(network: Mapping[str, Any], inputs: int, width: int, outputs: int) -> int:
    """Multiply-adds of two hidden layers and the outputs after them."""
    # a gated unit has two affine maps
    maps = 2 if network.get("activation") == "gated" else 1
    return maps * (inputs * width + width * width) + width * outputs


def decoder_multiply_adds(settings: Mapping[str, Any], pixels: int) -> int:
    """Multiply-adds of p(x | z_1) at one draw."""
    network = settings["network"]
    return _layers(network, network["latent_sizes"][0], network["hidden_sizes"][0], pixels)


def density_multiply_adds(settings: Mapping[str, Any]) -> int:
    """Multiply-adds of a mixture prior's density at one draw, which are no products of a dense layer."""
    network = settings["network"]
    if network.get("prior", "gaussian") == "gaussian":
        return 0
    # a multiply-add and an exponential a component
    return int(network["prior_components"] * (2 * network["latent_sizes"][0] + 8))


def _estimate(request: Request, once: int, each: int) -> Cost:
    """The cost of a run.

    Args:
        once, each: multiply-adds of a forward pass, once an image and once a draw.
    """
    settings, evaluation = request.settings, request.evaluation
    training, network = settings["training"], settings["network"]
    draws = training["monte_carlo_samples"] * training["importance_samples"]
    if network.get("posterior") == "mixture":  # a draw of each component
        draws *= network["posterior_components"]
    test = request.evaluated_images
    widest = max(request.pixels, *network["hidden_sizes"])
    live = 12 * draws * training["batch_size"] * widest * (settings["depth"] + 2)
    live = max(live, 12 * evaluation["chunk_rows"] * widest)
    parameters = 4 * (once + each)
    memory = live + 6 * parameters + request.image_bytes
    units = sum(network["latent_sizes"])
    numbers = 16 * (request.epochs + request.evaluations * test) * units
    disk = ((1 + request.evaluations) * parameters + numbers) / 1e6 + 1
    return Cost(
        _training_seconds(request, once, each, draws),
        _evaluation_seconds(request, once, each),
        BASE_MEMORY_MB + memory / 1e6,
        disk,
    )


def _training_seconds(request: Request, once: int, each: int, draws: int) -> float:
    settings, speed = request.settings, SPEEDS[request.arithmetic]
    training, network = settings["training"], settings["network"]
    images = request.train_images * request.epochs
    steps = images / training["batch_size"]
    density = draws * density_multiply_adds(settings)
    products = once + draws * each - density
    # a step makes three times the multiply-adds of a forward pass
    seconds = 3 * images * (products / speed.products + density / speed.rest)
    seconds += steps * (STEP_SECONDS + settings["depth"] * LAYER_SECONDS)
    seconds += images * (draws - 1) * request.pixels * DRAW_SECONDS
    if network.get("prior") == "vamp":  # pseudo-inputs are encoded at every step
        seconds += 3 * steps * network["prior_components"] * once / speed.products
    return float(seconds)


def _evaluation_seconds(request: Request, once: int, each: int) -> float:
    settings, evaluation = request.settings, request.evaluation
    speed, test = SPEEDS[request.arithmetic], request.evaluated_images
    draws = request.samples + evaluation["unit_samples"] if request.sampled else 1
    decoder = decoder_multiply_adds(settings, request.pixels)
    draw = decoder / speed.products + (each - decoder) / speed.rest
    # log-likelihoods and densities, which are no multiply-adds
    units = sum(settings["network"]["latent_sizes"])
    draw += speed.pixel * (request.pixels + UNIT_PIXELS * units)
    seconds = test * draws * draw + (test + evaluation["train_images"]) * once / speed.rest
    if request.probed:
        seconds += sum(_probe_seconds(evaluation["probe_labels"], once, speed.rest))
    if request.slopes:  # each pair of draws is decoded and differentiated at the decoder's input
        pairs = request.train_images * evaluation["stationarity_pairs"]
        seconds += pairs * (once / speed.rest + 4 * decoder / speed.products)
    if evaluation.get("rescale"):  # two continuations
        share = request.continuation_epochs / request.epochs
        seconds += 2 * share * _training_seconds(request, once, each, 1)
    return float(request.evaluations * seconds)


def _probe_seconds(labels: Sequence[int], once: int, rate: float) -> list[float]:
    """The time of a probe for each number of labels a class: most of it trains copies of the encoder."""
    found = []
    for each in labels:
        images = min(PROBE_BATCH, each * CLASSES)
        step = 3 * images * once / rate + ADAM_SECONDS * once
        networks = PROBE_NETWORKS[each != min(labels)]
        found.append(max(PROBE_SECONDS, networks * PROBE_STEPS * step))
    return found
