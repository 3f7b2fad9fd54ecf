"""What each run is told: the settings that a profile resolves to.

Nothing else reads the configuration's ``network`` and ``training`` sections, so a change makes stale
just the runs whose resolved settings differ.
"""

from __future__ import annotations

from rungs.data import DATASETS, catalogue, own_data
from rungs.data.image_shape import ImageShape
from rungs.errors import ConfigError, check_known
from rungs.models import entry
from rungs.study.layers import Config, merge
from rungs.study.runs import Run, parent_of


def resolve(config: Config, run: Run) -> Config:
    """All that training this run rests on, and nothing more.

    Returns:
        ``run`` (its path), ``dataset, variant, axis, size, depth, seed, continues, model, network,
        training, precision, threads, device``; ``continues`` is the same for the run whose weights this one
        starts from, or None. On the axis ``latent`` the size is the only latent size, on ``codes``
        it is ``network.codes``. Convolutional models are told the images' ``network.shape``. A run of
        one's own data carries their ``shape``, and whether they were ``inverted``.

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
    return {
        "run": run.path,
        "dataset": run.dataset,
        "variant": run.variant,
        "axis": run.axis,
        "size": run.size,
        "depth": run.depth,
        "seed": run.seed,
        "continues": None if parent is None else resolve(config, parent),
        "model": variant["model"],
        "network": network,
        "training": _layered(config, run, "training"),
        "precision": config["compute"]["precision"],
        "device": config["compute"]["device"],
        "threads": config["compute"]["threads"],
    } | ({} if own is None else {"shape": shape, "inverted": own.get("invert", False)})


def _layered(config: Config, run: Run, section: str) -> Config:
    """A section as this run sees it: the profile's, its data set's, its variant's over it."""
    check_known(run.variant, config["variants"], "variants", "variant")
    check_known(run.dataset, [*DATASETS, *own_data(config)], "datasets", "data set")
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


def evaluation_settings(config: Config, run: Run) -> Config:
    """What evaluating this run rests on besides the trained run itself."""
    return _layered(config, run, "evaluation")


def prior_settings(config: Config, run: Run) -> Config:
    """The prior of a run's codes, for models that have one: see :mod:`rungs.study.code_prior_settings`."""
    return _layered(config, run, "prior")
