"""Networks, priors, objectives and the models made of them; this module is the registry of models.

A further model is one module and one line here. The room imports data (for the shape of images),
probability and the rooms below; training and evaluation know a model by
:mod:`rungs.models.protocol`. Classes are imported when they are asked for, so that a run depends
only on the module of its own model (see :mod:`rungs.study.keys`).
"""

from __future__ import annotations

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
    """What tables call a model's prior, posterior and likelihood, where the configuration's
    ``network`` section does not say."""

    prior: str | None = "gaussian"
    posterior: str | None = "diagonal"
    likelihood: str = "bernoulli"


@dataclass(frozen=True)
class ModelEntry:
    """Where a model is, which keys of the configuration's ``network`` section it takes, along
    which axis its family is studied (a key of :data:`rungs.study.runs.SIZES`), the module that
    evaluates it, whether its likelihood is estimated by sampling and can be split over jobs, and the
    model that is learnt as the prior of its codes."""

    location: str
    network: tuple[str, ...]
    axis: str = "depth"
    evaluation: str = "rungs.evaluation.standard"
    #: whether the evaluation compares samples by the data set's classifier (rungs.evaluation.classifier)
    classifier: bool = False
    #: whether its likelihood is estimated by sampling
    sampled: bool = True
    #: whether runs can be trained side by side (rungs.training.side_by_side): no
    #: buffers that training changes
    side_by_side: bool = True
    #: the model of the prior that is learnt over its codes, if any
    prior: str = ""
    family: Family = Family()
    #: settings that no other model has, with their defaults; a variant's ``options`` set them
    options: dict[str, Any] = field(default_factory=dict)


_HIERARCHY = Family(prior="hierarchy")
_DENSE = ("latent_sizes", "hidden_sizes", "batch_norm")
_SINGLE = (
    *("prior", "prior_components", "posterior", "posterior_components"),
    *("likelihood", "divergence"),
)
_CONVOLUTIONAL = ("shape", "convolutional", "decoder", "pixelcnn")

#: name in the configuration -> module, class and network settings
MODELS = {
    "vae": ModelEntry("rungs.models.vae:BottomUpVAE", _DENSE, family=_HIERARCHY),
    "lvae": ModelEntry(
        "rungs.models.ladder:LadderVAE",
        (*_DENSE, "upward", "share_top_down"),
        family=_HIERARCHY,
    ),
    "single": ModelEntry(
        "rungs.models.single:SingleLayerVAE",
        (*_DENSE, *_SINGLE),
        axis="latent",
        evaluation="rungs.evaluation.single_layer",
        classifier=True,
    ),
    "vaegan": ModelEntry(
        "rungs.models.vaegan:VAEGAN",
        ("latent_sizes", "hidden_sizes", "prior", "prior_components"),
        axis="latent",
        evaluation="rungs.evaluation.vaegan",
        classifier=True,
        sampled=False,
        family=Family(likelihood="none"),
    ),
    "vq": ModelEntry(
        "rungs.models.vq:VQVAE",
        (*_CONVOLUTIONAL, "codes", "vq"),
        "codes",
        "rungs.evaluation.vq",
        sampled=False,
        side_by_side=False,
        prior="code-prior",
        family=Family("over codes", "deterministic", "logistic mixture"),
    ),
    "conv-vae": ModelEntry(
        "rungs.models.conv_vae:ConvolutionalVAE",
        (*_CONVOLUTIONAL, "latent_sizes"),
        "latent",
        "rungs.evaluation.vq",
        side_by_side=False,
        family=Family(likelihood="logistic mixture"),
    ),
    # no variant's model: trained on the codes of another run (see rungs.study.code_prior_settings)
    "code-prior": ModelEntry("rungs.models.code_prior:CodePrior", (), "codes", side_by_side=False),
    "autoencoder": ModelEntry(
        "rungs.models.autoencoder:Autoencoder",
        ("latent_sizes", "hidden_sizes", "linear"),
        axis="latent",
        evaluation="rungs.evaluation.autoencoder",
        classifier=True,
        sampled=False,
        family=Family(None, None, "none"),
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
    """The name of the module that holds ``model``."""
    return entry(model).location.split(":")[0]


def build(model: str, pixels: int, network: dict[str, Any]) -> LatentVariableModel:
    """Construct an uninitialised model.

    Args:
        model: a key of :data:`MODELS`.
        pixels: size of a flattened image.
        network: the settings that the model's entry names.
    """
    outline(model, pixels, network)
    return _construct(model, pixels, network)


def outline(model: str, pixels: int, network: dict[str, Any]) -> Any:
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


def _construct(model: str, pixels: int, network: dict[str, Any]) -> LatentVariableModel:
    module, name = entry(model).location.split(":")
    built: LatentVariableModel = getattr(import_module(module), name)(pixels=pixels, **network)
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
