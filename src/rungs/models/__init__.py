"""Networks, priors, objectives and the models made of them; this module is the registry of models.

A further model is one module and one line here. The room imports data (for the shape of images),
probability and the rooms below; training and evaluation know a model by
:mod:`rungs.models.protocol`. Classes are imported when they are asked for, so that a run depends
only on the module of its own model (see :mod:`rungs.study.keys`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rungs.errors import ConfigError

if TYPE_CHECKING:
    from rungs.models.protocol import LatentVariableModel

#: the most parameters of a model; each takes 16 bytes with its gradient and Adam's moments
MOST_PARAMETERS = 100_000_000
#: the largest number in a network's settings, and the largest of those that count its parts
MOST_UNITS, MOST_LAYERS = 1_000_000, 100
LAYERED = ("layers", "residual_blocks", "reach")


@dataclass(frozen=True)
class Family:
    """The names by which figures and tables call a family of models.

    Attributes:
        label: of the model, in figures that show families side by side; empty where the prior names it.
        prior, posterior, likelihood: where the configuration's ``network`` section does not name them.
    """

    label: str = ""
    prior: str | None = "gaussian"
    posterior: str | None = "diagonal"
    likelihood: str = "bernoulli"


@dataclass(frozen=True)
class Tolerance:
    """By how much an image's stored number may differ when another machine computes it again."""

    value: float
    unit: str


#: of bounds, of errors of reconstruction, and of pictures
NATS = Tolerance(0.01, "nats")
SQUARED_INTENSITY = Tolerance(0.01, "squared intensity")
GREY_LEVELS = Tolerance(1.0, "grey levels")


@dataclass(frozen=True)
class ModelEntry:
    """A model of the registry.

    Attributes:
        location: its class, ``module:class``.
        network: the keys of the configuration's ``network`` section that it takes.
        axis: along which its family is studied, a key of :data:`rungs.study.runs.SIZES`.
        evaluator: the class that measures and uses trained models of the family, ``module:class`` (see
            :mod:`rungs.evaluation.evaluator`); empty for a model that is not one of images.
        verified: the arrays of an evaluation, with one entry an image, that ``rungs verify`` computes
            again, and by how much they may differ.
        cost: the function that estimates the cost of a run, ``module:function`` (see
            :mod:`rungs.models.cost`).
        classifier: whether the evaluation compares samples by the data set's classifier
            (:mod:`rungs.evaluation.classifier`).
        sampled: whether its likelihood is estimated by sampling, and can be split over jobs.
        side_by_side: whether runs can be trained side by side (:mod:`rungs.training.side_by_side`): training
            changes no buffers.
        prior: the model of the prior that is learnt over its codes, if any.
        family: the names of figures and tables.
        options: settings that no other model has, with their defaults; a variant's ``options`` set them.
    """

    location: str
    network: tuple[str, ...]
    axis: str = "depth"
    evaluator: str = "rungs.evaluation.hierarchical:HierarchicalEvaluator"
    verified: Mapping[str, Tolerance] = field(
        default_factory=lambda: {"test/lk": NATS, "test/elbo": NATS}
    )
    cost: str = "rungs.models.cost.dense:bottom_up"
    classifier: bool = False
    sampled: bool = True
    side_by_side: bool = True
    prior: str = ""
    family: Family = Family()
    options: dict[str, Any] = field(default_factory=dict)


_HIERARCHY = Family(prior="hierarchy")
_DENSE = ("latent_sizes", "hidden_sizes", "batch_norm", "activation")
_HIERARCHICAL = (*_DENSE, "pixel_bias")
_SINGLE = (
    *("prior", "prior_components", "posterior", "posterior_components"),
    *("likelihood", "divergence"),
)
_CONVOLUTIONAL = ("shape", "convolutional", "decoder", "pixelcnn")

#: name in the configuration -> module, class and network settings
MODELS = {
    "vae": ModelEntry("rungs.models.vae:BottomUpVAE", _HIERARCHICAL, family=_HIERARCHY),
    "lvae": ModelEntry(
        "rungs.models.ladder:LadderVAE",
        (*_HIERARCHICAL, "upward", "share_top_down"),
        cost="rungs.models.cost.dense:ladder",
        family=_HIERARCHY,
    ),
    "single": ModelEntry(
        "rungs.models.single:SingleLayerVAE",
        (*_DENSE, *_SINGLE),
        axis="latent",
        evaluator="rungs.evaluation.single_layer:SingleLayerEvaluator",
        classifier=True,
        options={"affine_speed": 0.0},
    ),
    "vaegan": ModelEntry(
        "rungs.models.vaegan:VAEGAN",
        ("latent_sizes", "hidden_sizes", "prior", "prior_components"),
        axis="latent",
        evaluator="rungs.evaluation.vaegan:VAEGANEvaluator",
        verified={"pictures/reconstructions": GREY_LEVELS},
        cost="rungs.models.cost.dense:vaegan",
        classifier=True,
        sampled=False,
        family=Family("VAE/GAN", likelihood="none"),
    ),
    "vq": ModelEntry(
        "rungs.models.vq:VQVAE",
        (*_CONVOLUTIONAL, "codes", "vq"),
        axis="codes",
        evaluator="rungs.evaluation.vq:VQEvaluator",
        verified={"test/lk": NATS},
        cost="rungs.models.cost.convolutional:estimate",
        sampled=False,
        side_by_side=False,
        prior="code-prior",
        family=Family("VQ-VAE", "over codes", "deterministic", "logistic mixture"),
    ),
    "conv-vae": ModelEntry(
        "rungs.models.conv_vae:ConvolutionalVAE",
        (*_CONVOLUTIONAL, "latent_sizes", "prior", "prior_components"),
        axis="latent",
        evaluator="rungs.evaluation.conv_vae:ConvVAEEvaluator",
        cost="rungs.models.cost.convolutional:estimate",
        side_by_side=False,
        family=Family("VAE", likelihood="logistic mixture"),
    ),
    # no variant's model: trained on the codes of another run (see rungs.study.settings)
    "code-prior": ModelEntry(
        "rungs.models.code_prior:CodePrior", (), "codes", evaluator="", side_by_side=False
    ),
    "autoencoder": ModelEntry(
        "rungs.models.autoencoder:Autoencoder",
        ("latent_sizes", "hidden_sizes", "linear"),
        axis="latent",
        evaluator="rungs.evaluation.autoencoder:AutoencoderEvaluator",
        verified={"autoencoder/squared_error": SQUARED_INTENSITY},
        classifier=True,
        sampled=False,
        family=Family("autoencoder", None, None, "none"),
    ),
}


def entry(model: str) -> ModelEntry:
    """The registry's entry of ``model``.

    Raises:
        ConfigError: if there is no such model.
    """
    if model not in MODELS:
        raise ConfigError(f"model {model!r} is not known; known are {', '.join(sorted(MODELS))}.")
    return MODELS[model]


def module_of(model: str) -> str:
    """Return the name of the module that holds ``model``."""
    return entry(model).location.partition(":")[0]


def load_object(location: str) -> Any:
    """Import the class or function that the registry names as ``module:name``."""
    module, _, name = location.partition(":")
    return getattr(import_module(module), name)


def build(model: str, pixels: int, network: Mapping[str, Any]) -> LatentVariableModel:
    """Construct an uninitialised model.

    Args:
        model: a key of :data:`MODELS`.
        pixels: size of a flattened image.
        network: the settings that the model's entry names.
    """
    outline(model, pixels, network)
    return _construct(model, pixels, network)


def outline(model: str, pixels: int, network: Mapping[str, Any]) -> Any:
    """Construct a model on PyTorch's ``meta`` device, without memory for its parameters.

    Raises:
        ConfigError: if the model is too large to be trained in a few gigabytes.
    """
    import torch

    _check_sizes(network, "network")
    with torch.device("meta"):
        built: Any = _construct(model, pixels, network)
    count = sum(parameter.numel() for parameter in built.parameters())
    if count > MOST_PARAMETERS:
        raise ConfigError(
            f"configuration key network: the model {model} would have {count:,} parameters, "
            f"{MOST_PARAMETERS:,} at most are allowed; choose smaller sizes."
        )
    return built


def _construct(model: str, pixels: int, network: Mapping[str, Any]) -> LatentVariableModel:
    built: LatentVariableModel = load_object(entry(model).location)(pixels=pixels, **network)
    return built


def _check_sizes(value: Any, key: str) -> None:
    """Refuse huge sizes. Settings that come with a file have passed no schema, and a loop over 10**9
    layers would not end."""
    most = MOST_LAYERS if key.rpartition(".")[2] in LAYERED else MOST_UNITS
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_sizes(inner, f"{key}.{name}")
    elif isinstance(value, list):
        if len(value) > MOST_LAYERS:
            raise ConfigError(f"configuration key {key}: has {len(value)} sizes, too many.")
        for inner in value:
            _check_sizes(inner, key)
    elif isinstance(value, int) and value > most:
        raise ConfigError(f"configuration key {key}: {value} is more than {most}.")
