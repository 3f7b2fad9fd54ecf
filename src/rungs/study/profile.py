"""The configuration: layers, validation, and the runs that it asks for.

A profile (``config/quick.yaml``) is laid over ``config/common.yaml``, key by key. What a
single run is told is resolved from it in :func:`resolve`; nothing else reads the
configuration's ``network`` and ``training`` sections, so a change makes stale just the runs
whose resolved settings differ.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rungs.data.image_shape import ImageShape
from rungs.errors import ConfigError
from rungs.paths import ROOT
from rungs.storage.atomic import sha256, write_text
from rungs.storage.untrusted import (
    MOST_CHARACTERS,
    NotPlainError,
    check_plain,
    parse_json,
    parse_yaml,
)

COMMON = ROOT / "config" / "common.yaml"
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
RAW_DATA_VARIABLE = "RUNGS_RAW_DATA"
CONFIG_VARIABLE = "RUNGS_CONFIG"

Config = dict[str, Any]
#: names that a message lists where none is near
LISTED = 40
#: runs that a configuration may ask for
MOST_RUNS = 100_000


#: what a grid varies besides the seed: the number of stochastic layers, the units of a single one,
#: or the number of discrete codes -> the key of the grid
SIZES = {"depth": "depths", "latent": "latents", "codes": "codes"}


@dataclass(frozen=True, order=True)
class Run:
    """One dataset, variant, size and seed. Its path names its folder and its jobs.

    The size is that of the axis along which the model's family is studied: see :data:`SIZES`.

    >>> Run.parse("mnist5k/vae-bn/depth5/seed0").size
    5
    >>> Run.parse("mnist5k/mog/latent10/seed0").axis
    'latent'
    """

    dataset: str
    variant: str
    size: int
    seed: int
    axis: str = "depth"

    @property
    def path(self) -> str:
        """``dataset/variant/<axis><size>/seed<seed>``."""
        return f"{self.dataset}/{self.variant}/{self.axis}{self.size}/seed{self.seed}"

    @property
    def depth(self) -> int:
        """The number of stochastic layers."""
        return self.size if self.axis == "depth" else 1

    @classmethod
    def parse(cls, path: str) -> Run:
        """The run of a path.

        Raises:
            ConfigError: if ``path`` is not of the form ``dataset/variant/depthD/seedS``.
        """
        axes = "|".join(SIZES)
        match = re.fullmatch(
            rf"([\w-]+)/([\w-]+)/({axes})([0-9]{{1,18}})/seed([0-9]{{1,18}})", path
        )
        if not match:
            raise ConfigError(
                f"run {path!r}: expected dataset/variant/depth<D>/seed<S> (or latent<N>, codes<K> in "
                "the place of depth), for example mnist5k/vae-bn/depth5/seed0."
            )
        return cls(match[1], match[2], int(match[4]), int(match[5]), match[3])


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Config:
    """``over`` laid over ``base``: mappings key by key, everything else replaced.

    >>> merge({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}})
    {'a': {'x': 1, 'y': 3}}
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def read_file(path: Path | str) -> Config:
    """Read one YAML or JSON file.

    Raises:
        ConfigError: if it is missing, not YAML, or not a mapping.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            text = file.read(4 * MOST_CHARACTERS + 1).decode("utf-8-sig")
        # JSON is not quite YAML: 1e-08 is a number of the one and a string of the other
        content = parse_json(text) if path.suffix == ".json" else parse_yaml(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the configuration cannot be read ({error}).") from error
    except NotPlainError as error:
        raise ConfigError(f"{path}: {error}.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, found {type(content).__name__}.")
    return content


def load(paths: Iterable[Path | str]) -> Config:
    """Layer profiles over ``config/common.yaml`` and validate the result.

    A ``.json`` file is a frozen configuration (:func:`freeze`), already complete. What is to be
    known of one's own data is looked up here (:func:`rungs.data.own.complete`).
    """
    config = layer(paths)
    validate(config)
    return with_own_data(config)


def layer(paths: Iterable[Path | str]) -> Config:
    """The same without validation, which takes longer."""
    profiles = [Path(path) for path in paths]
    frozen = bool(profiles) and profiles[0].suffix == ".json"
    config = {} if frozen else read_file(COMMON)
    for path in profiles:
        config = merge(config, read_file(path))
    return config


def with_own_data(config: Config) -> Config:
    """A valid configuration with what is to be known of one's own data before anything runs.

    Raises:
        ConfigError, DataError: if that data cannot be used.
    """
    from rungs.data import own_data

    if not own_data(config):
        return config
    from rungs.data.own import complete as find_own_data

    return find_own_data(config)


def complete(config: Config) -> Config:
    """``config`` over ``config/common.yaml``, and over the default profile if it names none: a
    workflow that uses this one as a module hands on its own settings only."""
    base = read_file(COMMON)
    if "profile" not in config:
        base = merge(base, read_file(ROOT / "config" / "quick.yaml"))
    return merge(base, config)


def validate(config: Config) -> None:
    """Check every key and type against the JSON Schema, then what it cannot express.

    Raises:
        ConfigError: naming the first offending key and, for an unknown one, the nearest
            valid one.
    """
    _check_plain(config)
    validator = _validator(_schema())
    errors = sorted(
        validator.iter_errors(config),
        # a misspelt key is also a missing one: name what was written first
        key=lambda e: (e.validator == "required", len(e.absolute_path), e.message),
    )
    if errors:
        raise ConfigError(_explain(errors[0]))
    _check_count(config)
    for document, grids in config["experiments"].items():
        for number, grid in enumerate(grids):
            where = f"experiments.{document}[{number}]"
            for variant in grid["variants"]:
                _known(variant, config["variants"], f"{where}.variants", "variant")
    from rungs.data import DATASETS, own_data
    from rungs.figures import FIGURES
    from rungs.models import MODELS

    own = own_data(config)
    for name in config.get("datasets", {}):
        if name not in own:
            _known(name, DATASETS, "datasets", "data set")
        elif name in DATASETS or name.endswith("-classifier"):
            raise ConfigError(
                f"configuration key datasets.{name}: images of your own need a name of their own, which "
                "is no built-in data set's and does not end in -classifier; rename it."
            )
    for name, variant in config["variants"].items():
        _known(variant["model"], MODELS, f"variants.{name}.model", "model")
        _check_options(config, name)
        _check_continuation(config, name)
    for name in config["figures"]:
        _known(name, FIGURES, "figures", "figure")
    for document, grids in config["experiments"].items():
        for number, grid in enumerate(grids):
            where = f"experiments.{document}[{number}]"
            for dataset in grid["datasets"]:
                _known(dataset, [*DATASETS, *own], f"{where}.datasets", "data set")
            _check_axis(config, grid, where)
            if "depths" in grid:
                _check_depths(config, grid, where)


def check_section(section: str, content: Any) -> None:
    """Check settings that come with a result, not with a configuration, against a section's schema.

    Raises:
        ConfigError: naming the first offending key.
    """
    _check_plain(content)
    schema = _schema()
    part = {**schema["$defs"][section], "$defs": schema["$defs"]}
    for wrong in _validator(part).iter_errors(content):
        raise ConfigError(f"section {section}: {_explain(wrong)}")


def _check_plain(content: Any) -> None:
    try:
        check_plain(content)
    except NotPlainError as error:
        raise ConfigError(f"{error}.") from error


@functools.cache
def _schema() -> Config:
    """The configuration's JSON Schema, read once a process."""
    return read_file(SCHEMA)


def _validator(schema: Config) -> Any:
    """A schema's; to JSON Schema 3.0 is an integer, to Python's ``range`` it is not."""
    import jsonschema

    plain = jsonschema.Draft202012Validator
    whole = plain.TYPE_CHECKER.redefine(
        "integer", lambda checker, value: isinstance(value, int) and not isinstance(value, bool)
    )
    return jsonschema.validators.extend(plain, type_checker=whole)(schema)


def _check_count(config: Config) -> None:
    """Four short lists ask for more runs than any memory holds."""
    count = sum(
        math.prod(len(grid[key]) for key in ("datasets", "variants", SIZES[axis_of(grid)], "seeds"))
        for grids in config["experiments"].values()
        for grid in grids
    )
    if count > MOST_RUNS:
        raise ConfigError(
            f"configuration key experiments: asks for {count} runs, {MOST_RUNS} at most are allowed; "
            "split it into several profiles."
        )


def _check_options(config: Config, name: str) -> None:
    """A variant's options are its model's, of the types of their defaults."""
    from rungs.models import entry

    variant = config["variants"][name]
    defaults = entry(variant["model"]).options
    for option, value in variant.get("options", {}).items():
        key = f"variants.{name}.options"
        if not defaults:
            raise ConfigError(
                f"configuration key {key}: the model {variant['model']} has no options of its own; "
                "settings that models share go to network or training."
            )
        _known(option, defaults, key, "option")
        default = defaults[option]
        fits = isinstance(value, bool) == isinstance(default, bool) and (
            isinstance(value, type(default)) or (type(default) is float and type(value) is int)
        )
        if not fits:
            raise ConfigError(
                f"configuration key {key}.{option}: found {json.dumps(value)}: expected a value like "
                f"{json.dumps(default)}."
            )


def _check_continuation(config: Config, name: str) -> None:
    """A variant continues one of the same model, and no chain of them is a circle."""
    seen = [name]
    while (parent := config["variants"][seen[-1]].get("continues")) is not None:
        key = f"variants.{seen[-1]}.continues"
        _known(parent, config["variants"], key, "variant")
        model = config["variants"][name]["model"]
        if parent in seen or config["variants"][parent]["model"] != model:
            raise ConfigError(
                f"configuration key {key}: {name} cannot continue {parent}: "
                "a variant continues another of the same model, and not itself."
            )
        seen.append(parent)


def axis_of(grid: Config) -> str:
    """What a grid of runs varies besides the seed: a key of :data:`SIZES`."""
    return next(axis for axis, key in SIZES.items() if key in grid)


def _check_axis(config: Config, grid: Config, where: str) -> None:
    """Every variant of a grid is of a model that has the size which the grid gives."""
    from rungs.models import entry

    axis = axis_of(grid)
    for variant in grid["variants"]:
        expected = entry(config["variants"][variant]["model"]).axis
        if expected != axis:
            raise ConfigError(
                f"configuration key {where}: {variant} has no {SIZES[axis]}; give {SIZES[expected]}, "
                "or put it into a grid of its own."
            )


def _check_depths(config: Config, grid: Config, where: str) -> None:
    for variant in grid["variants"]:
        network = merge(config["network"], config["variants"][variant].get("network", {}))
        longest = min(
            len(sizes(network[key], max(grid["depths"])))
            for key in ("latent_sizes", "hidden_sizes")
        )
        if max(grid["depths"]) > longest:
            raise ConfigError(
                f"{where}.depths: depth {max(grid['depths'])} needs as many network.latent_sizes "
                f"and network.hidden_sizes, found {longest}; give more sizes or a lower depth."
            )


def _known(name: str, valid: Iterable[str], key: str, kind: str) -> None:
    if name not in valid:
        raise ConfigError(
            f"configuration key {key}: {kind} {name!r} is not known{nearest(name, valid)}"
        )


def nearest(name: str, valid: Iterable[str]) -> str:
    """The end of a sentence that offers the valid name nearest to ``name``.

    >>> nearest("vea", ["vae", "lvae"])
    "; did you mean 'vae'?"
    """
    valid = sorted(map(str, valid))
    close = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    more = f" and {len(valid) - LISTED} more" if len(valid) > LISTED else ""
    return f"; known are {', '.join(valid[:LISTED])}{more}."


def _explain(error: Any) -> str:
    """One line for a person from one of jsonschema's errors."""
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path)
    key = where.lstrip(".") or "top level"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = sorted(str(k) for k in error.instance if k not in known)[0]
        return f"configuration, {key}: unknown key {unknown!r}{nearest(unknown, known)}"
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        return f"configuration, {key}: the key {missing!r} is missing."
    if "propertyNames" in error.schema_path:
        return (
            f"configuration, {key}: {error.instance!r} is not a valid name (letters, digits, - _)."
        )
    shown = json.dumps(error.instance, default=str)
    shown = shown if len(shown) < 80 else f"{shown[:77]}..."
    expected = error.message if len(error.message) < 200 else f"fails {error.validator!r}"
    if error.validator == "pattern":  # there is one, that of names
        expected = "not a valid name (letters, digits, - _)"
    return f"configuration key {key}: found {shown}: {expected}."


def runs(config: Config, document: str | None = None) -> list[Run]:
    """Every run that the configuration asks for, each once, in the order of the file.

    Runs that are only there to be continued by others are not among them.
    """
    found: dict[Run, None] = {}
    for name, grids in config["experiments"].items():
        if document is not None and name != document:
            continue
        for grid in grids:
            found.update(
                (Run(dataset, variant, size, seed, axis), None)
                for axis in [axis_of(grid)]
                for dataset in grid["datasets"]
                for variant in grid["variants"]
                for size in grid[SIZES[axis]]
                for seed in grid["seeds"]
            )
    return list(found)


def _layered(config: Config, run: Run, section: str) -> Config:
    """A section as this run sees it: the profile's, its data set's, its variant's over it."""
    from rungs.data import DATASETS, own_data

    _known(run.variant, config["variants"], "variants", "variant")
    _known(run.dataset, [*DATASETS, *own_data(config)], "datasets", "data set")
    layers = (
        config.get("datasets", {}).get(run.dataset, {}).get(section, {}),
        config["variants"][run.variant].get(section, {}),
    )
    merged = config[section]
    for layer in layers:
        merged = merge(merged, layer)
    return dict(merged)


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
    from rungs.data import catalogue, own_data
    from rungs.models import entry

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


def _check_shape(shape: list[int], run: Run) -> None:
    try:
        ImageShape.of(shape)
    except ValueError as error:
        raise ConfigError(
            f"run {run.path}: {error}; set datasets.{run.dataset}.size, or use a variant without "
            "convolutions."
        ) from error


def parent_of(config: Config, run: Run) -> Run | None:
    """The run whose weights this one starts from, if its variant continues another."""
    parent = config["variants"][run.variant].get("continues")
    return None if parent is None else replace(run, variant=parent)


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


def raw_data(config: Config) -> Path | None:
    """The folder of raw data files: the environment variable, else the configuration key."""
    named = os.environ.get(RAW_DATA_VARIABLE) or config.get("raw_data")
    return Path(named).expanduser() if named else None


def freeze(config: Config, folder: Path | str) -> Path:
    """Write the complete configuration to ``folder`` under the name of its hash.

    Jobs read this file: it never changes, so a job that starts later, or on another
    machine, sees the configuration that its workflow was started with; in the same order, for
    to Snakemake parameters in another order are other parameters.
    """
    text = json.dumps(config, indent=1) + "\n"
    path = Path(folder) / f"{sha256(text.encode())[:12]}.json"
    if not path.exists() or path.read_bytes() != text.encode():
        write_text(path, text)
    return path
