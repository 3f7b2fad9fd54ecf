"""The settings of each run, as a profile resolves to them.

Nothing else reads the configuration's ``network`` and ``training`` sections, so a change makes stale
just the runs whose resolved settings differ.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict, cast

from rungs.data import catalogue, check_dataset, own_data
from rungs.data.image_shape import ImageShape
from rungs.errors import ConfigError, check_known
from rungs.models import entry
from rungs.numerics.seeds import LIKELIHOOD_BLOCK
from rungs.storage.result_file import Stored
from rungs.study.layers import Config, merge
from rungs.study.runs import PRIOR_FOLDER, Run, parent_of

#: blocks of test images from which the error of a mean over them is known well enough
LEAST_REFINED = 20


class NetworkSettings(TypedDict, total=False):
    """Sizes and switches of a network: those that the registry's entry of its model names, along with
    the model's own options. Sizes are those of this run, bottom layer first."""

    latent_sizes: list[int]
    hidden_sizes: list[int]
    batch_norm: bool
    activation: str
    pixel_bias: str
    upward: str
    share_top_down: bool
    prior: str
    prior_components: int
    posterior: str
    posterior_components: int
    likelihood: str
    divergence: str
    affine_speed: float
    convolutional: dict[str, int]
    decoder: str
    pixelcnn: dict[str, int]
    vq: dict[str, Any]
    linear: bool
    shape: list[int]
    codes: int
    grid: list[int]
    channels: int
    layers: int
    dropout: float


class StageSettings(TypedDict):
    """The stages of a learning rate; see :func:`rungs.training.schedules.stage_factor`."""

    number: int
    growth: float
    decay: float


class TrainingSettings(TypedDict):
    """The recipe of a training: the configuration's section ``training`` as one run sees it.

    ``epochs`` are those of the schedule; :func:`rungs.training.schedules.total_epochs` has the
    continuation as well.
    """

    epochs: int
    continuation: float
    batch_size: int
    learning_rate: float
    rise: float
    stages: StageSettings | None
    annealing: float
    adam_epsilon: float
    max_gradient_norm: float
    max_gradient_element: float
    warm_up: bool
    warm_up_epochs: int
    monte_carlo_samples: int
    importance_samples: int


class EvaluationSettings(TypedDict):
    """The configuration's section ``evaluation`` as one run sees it.

    ``prior`` is the key of the run's learnt prior, where it has one; ``refine_every`` is there where some
    images take fewer samples.
    """

    samples: int
    images: int
    train_images: int
    unit_samples: int
    chunk_rows: int
    refine_every: NotRequired[int]
    rescale: NotRequired[bool]
    stationarity_latents: NotRequired[list[int]]
    stationarity_pairs: NotRequired[int]
    probe_latents: NotRequired[list[int]]
    probe_labels: NotRequired[list[int]]
    prior: NotRequired[str]


class PriorSettings(TypedDict):
    """The configuration's section ``prior`` as one run sees it."""

    learnt: bool
    network: dict[str, Any]
    training: dict[str, Any]


class RunSettings(TypedDict):
    """All that training a run depends on, and nothing more; stored with its results as they are.

    ``run`` is the run's path, ``continues`` the settings of the run whose weights it starts from. A run
    of one's own data carries the ``shape`` of its images and whether they were ``inverted``.
    """

    run: str
    dataset: str
    variant: str
    axis: str
    size: int
    depth: int
    seed: int
    continues: RunSettings | None
    model: str
    network: NetworkSettings
    training: TrainingSettings
    precision: str
    device: str
    threads: int
    shape: NotRequired[list[int]]
    inverted: NotRequired[bool]


def resolve(config: Config, run: Run) -> RunSettings:
    """Gather the settings of a run from the layers of its configuration.

    On the axis ``latent`` the run's size is the only latent size, on ``codes`` it is ``network.codes``.
    Convolutional models get the images' ``network.shape``.

    Raises:
        ConfigError: if the run's variant is not in the configuration, or its model cannot take
            images of this shape.
    """
    own = own_data(config).get(run.dataset)
    settings = _layered(config, run, "network")
    variant = config["variants"][run.variant]
    if run.axis == "latent":
        settings["latent_sizes"] = [run.size]
    elif run.axis == "codes":
        settings["codes"] = run.size
    shape = list(catalogue(config)[run.dataset].shape)
    settings["shape"] = shape
    known = entry(variant["model"])
    network = {key: settings[key] for key in known.network}
    network |= {
        key: type(default)(variant.get("options", {}).get(key, default))
        for key, default in known.options.items()
    }
    if "shape" in network:
        _check_shape(shape, run)
    for key in {"latent_sizes", "hidden_sizes"} & network.keys():
        network[key] = sizes(network[key], run.depth)
    parent = parent_of(config, run)
    resolved: RunSettings = {
        "run": run.path,
        "dataset": run.dataset,
        "variant": run.variant,
        "axis": run.axis,
        "size": run.size,
        "depth": run.depth,
        "seed": run.seed,
        "continues": None if parent is None else resolve(config, parent),
        "model": variant["model"],
        "network": cast(NetworkSettings, network),
        "training": cast(TrainingSettings, _layered(config, run, "training")),
        "precision": config["compute"]["precision"],
        "device": config["compute"]["device"],
        "threads": config["compute"]["threads"],
    }
    if own is None:
        return resolved
    return resolved | {"shape": shape, "inverted": own.get("invert", False)}


def _layered(config: Config, run: Run, section: str) -> Config:
    """A section as this run sees it: the profile's, its data set's, its variant's over it."""
    check_known(run.variant, config["variants"], "variants", "variant")
    check_dataset(run.dataset, config)
    layers = (
        config.get("datasets", {}).get(run.dataset, {}).get(section, {}),
        config["variants"][run.variant].get(section, {}),
    )
    merged = config[section]
    for layer in layers:
        merged = merge(merged, layer)
    return dict(merged)


def _check_shape(shape: list[int], run: Run) -> None:
    try:
        ImageShape.of(shape)
    except ValueError as error:
        raise ConfigError(
            f"run {run.path}: {error}; set datasets.{run.dataset}.size, or use a variant without "
            "convolutions."
        ) from error


def sizes(value: list[int] | Config, depth: int) -> list[int]:
    """The first ``depth`` sizes of a list, or of the rule ``{first, ratio, least}``.

    >>> sizes({"first": 64, "ratio": 0.5, "least": 4}, 6)
    [64, 32, 16, 8, 4, 4]
    """
    if isinstance(value, list):
        return value[:depth]
    powers = (value["ratio"] ** i for i in range(depth))
    return [max(value["least"], round(value["first"] * power)) for power in powers]


def evaluation_settings(config: Config, run: Run) -> EvaluationSettings:
    """All that evaluating this run depends on besides the trained run itself.

    ``refine_every`` is left out where it has no effect: at 1, and where so few blocks of test images would
    take all samples (:data:`LEAST_REFINED`) that all of them do.
    """
    section = _layered(config, run, "evaluation")
    every = section.pop("refine_every", 1)
    if every > 1 and entry(config["variants"][run.variant]["model"]).sampled:
        images = min(section["images"], catalogue(config)[run.dataset].test)
        if images >= LEAST_REFINED * every * LIKELIHOOD_BLOCK:
            section["refine_every"] = every
    return cast(EvaluationSettings, section)


def prior_settings(config: Config, run: Run) -> PriorSettings:
    """The configuration's section ``prior`` as this run sees it."""
    return cast(PriorSettings, _layered(config, run, "prior"))


#: what the training of a prior does not take from the configuration: no KL term, one draw
_OF_PRIOR = {"stages": None, "warm_up": False, "monte_carlo_samples": 1, "importance_samples": 1}


def code_prior_settings(config: Config, run: Run) -> RunSettings | None:
    """Gather the settings of the prior over a run's codes, which is a training run of its own.

    Its model is the one that the registry names; it lies in the folder
    :data:`rungs.study.runs.PRIOR_FOLDER` of the run's.

    Returns:
        None for a model without codes, or where the configuration wants a uniform prior
        (``prior.learnt: false``).
    """
    settings = resolve(config, run)
    model = entry(settings["model"]).prior
    section = prior_settings(config, run)
    if not model or not section["learnt"]:
        return None
    grid = list(ImageShape.of(settings["network"]["shape"]).grid)
    network = {"codes": run.size, "grid": grid, **section["network"]}
    training = merge(merge(config["training"], _OF_PRIOR), section["training"])
    return settings | {
        "run": f"{run.path}/{PRIOR_FOLDER}",
        "model": model,
        "network": cast(NetworkSettings, network),
        "training": cast(TrainingSettings, training),
        "continues": None,
    }


def settings_of(result: Stored) -> RunSettings:
    """Return the settings of the run that a training or evaluation file is of."""
    settings: RunSettings = result.attributes["run"]
    return settings


def run_of(result: Stored) -> Run:
    """Return the run that a training or evaluation file is of."""
    found = settings_of(result)
    return Run(found["dataset"], found["variant"], found["size"], found["seed"], axis=found["axis"])
