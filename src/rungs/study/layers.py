"""Configuration files, and how one is laid over another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rungs.errors import ConfigError
from rungs.paths import ROOT
from rungs.storage.untrusted import MOST_CHARACTERS, NotPlainError, parse_json, parse_yaml

COMMON = ROOT / "config" / "common.yaml"
#: the profile that is run where none is named, called quick
DEFAULT = ROOT / "config" / "config.yaml"

Config = dict[str, Any]


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
