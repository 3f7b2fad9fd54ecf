"""Checks of a configuration before anything runs; errors name the key."""

from __future__ import annotations

import functools
import json
import math
from typing import Any

from rungs.data import DATASETS, dataset_names, own_data
from rungs.errors import ConfigError, check_known, nearest
from rungs.models import MODELS, entry
from rungs.paths import ROOT
from rungs.storage.untrusted import NotPlainError, check_plain
from rungs.study.layers import COMMON, Config, merge, read_file
from rungs.study.readings import remedy
from rungs.study.runs import SIZES, axis_of
from rungs.study.settings import sizes

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
#: runs that a configuration may ask for
MOST_RUNS = 100_000


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
                check_known(variant, config["variants"], f"{where}.variants", "variant")
    own = own_data(config)
    for name in config.get("datasets", {}):
        if name not in own:
            check_known(name, DATASETS, "datasets", "data set")
        elif name in DATASETS or name.endswith("-classifier"):
            raise ConfigError(
                f"configuration key datasets.{name}: images of your own need a name of their own, which "
                "is no built-in data set's and does not end in -classifier; rename it."
            )
    for name, variant in config["variants"].items():
        check_known(variant["model"], MODELS, f"variants.{name}.model", "model")
        _check_options(config, name)
        _check_continuation(config, name)
    for name in config["figures"]:
        check_known(name, _figures(), "figures", "figure")
    for document, grids in config["experiments"].items():
        for number, grid in enumerate(grids):
            where = f"experiments.{document}[{number}]"
            for dataset in grid["datasets"]:
                check_known(dataset, dataset_names(config), f"{where}.datasets", "data set")
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


@functools.cache
def _figures() -> frozenset[str]:
    """The names of all figures: ``config/common.yaml`` has settings of each."""
    return frozenset(read_file(COMMON)["figures"])


def _validator(schema: Config) -> Any:
    """A schema's; to JSON Schema 3.0 is an integer, to Python's ``range`` it is not."""
    import jsonschema

    plain = jsonschema.Draft202012Validator
    whole = plain.TYPE_CHECKER.redefine(
        "integer", lambda checker, value: isinstance(value, int) and not isinstance(value, bool)
    )
    return jsonschema.validators.extend(plain, type_checker=whole)(schema)


def _check_count(config: Config) -> None:
    """Refuse a profile without runs, and one whose four short lists ask for more than memory holds."""
    count = sum(
        math.prod(len(grid[key]) for key in ("datasets", "variants", SIZES[axis_of(grid)], "seeds"))
        for grids in config["experiments"].values()
        for grid in grids
    )
    if count == 0:
        raise ConfigError(
            "configuration key experiments: asks for no runs; give a document at least one grid."
        )
    if count > MOST_RUNS:
        raise ConfigError(
            f"configuration key experiments: asks for {count} runs, {MOST_RUNS} at most are allowed; "
            "split it into several profiles."
        )


def _check_options(config: Config, name: str) -> None:
    """A variant's options are its model's, of the types of their defaults."""
    variant = config["variants"][name]
    defaults = entry(variant["model"]).options
    for option, value in variant.get("options", {}).items():
        key = f"variants.{name}.options"
        if not defaults:
            raise ConfigError(
                f"configuration key {key}: the model {variant['model']} has no options of its own; "
                "settings that models share go to network or training."
            )
        check_known(option, defaults, key, "option")
        default = defaults[option]
        fits = isinstance(value, bool) == isinstance(default, bool) and (
            isinstance(value, type(default)) or (type(default) is float and type(value) is int)
        )
        if not fits:
            raise ConfigError(
                f"configuration key {key}.{option}: found {json.dumps(value)}: expected a value like "
                f"{json.dumps(default)}{remedy(value, _types(default))}."
            )


def _types(default: Any) -> list[str]:
    """The types of JSON Schema that an option with this default takes."""
    if isinstance(default, bool):
        return []
    names = {int: "integer", float: "number", str: "string"}
    return [names[type(default)]] if type(default) in names else []


def _check_continuation(config: Config, name: str) -> None:
    """A variant continues one of the same model, and no chain of them is a circle."""
    seen = [name]
    while (parent := config["variants"][seen[-1]].get("continues")) is not None:
        key = f"variants.{seen[-1]}.continues"
        check_known(parent, config["variants"], key, "variant")
        model = config["variants"][name]["model"]
        if parent in seen or config["variants"][parent]["model"] != model:
            raise ConfigError(
                f"configuration key {key}: {name} cannot continue {parent}: "
                "a variant continues another of the same model, and not itself."
            )
        seen.append(parent)


def _check_axis(config: Config, grid: Config, where: str) -> None:
    """Every variant of a grid is of a model that has the size which the grid gives."""
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
    if error.validator == "uniqueItems":
        twice = next(item for n, item in enumerate(error.instance) if item in error.instance[:n])
        expected = f"{json.dumps(twice, default=str)} is there twice; leave one out"
    hint = remedy(error.instance, _expected_types(error))
    return f"configuration key {key}: found {shown}: {expected}{hint}."


def _expected_types(error: Any) -> set[str]:
    """The types that a value should have had, also where a schema gives several to choose from."""
    if error.validator == "type":
        types = error.validator_value
        return {types} if isinstance(types, str) else set(types)
    return set().union(
        *(_expected_types(e) for e in error.context or () if e.path == error.context[0].path)
    )
