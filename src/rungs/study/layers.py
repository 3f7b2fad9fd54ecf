"""Configuration files, and how one is laid over another."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rungs.errors import ConfigError, nearest
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
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such configuration{_nearest(path)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the configuration cannot be read ({error}).") from error
    except NotPlainError as error:
        raise ConfigError(f"{path}: {error}.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, found {type(content).__name__}.")
    return content


def _nearest(path: Path) -> str:
    """The end of a sentence that offers the nearest profile: one beside the path, or one of the clone."""
    here = [*path.parent.glob("*.yaml"), *Path("config").glob("*.yaml")]
    found = here or [*COMMON.parent.glob("*.yaml")]
    by_name = {each.stem: str(each) for each in found if each.name != COMMON.name}
    close = get_close_matches(path.stem, by_name, n=1, cutoff=0.5)
    return f"; did you mean {by_name[close[0]]!r}?" if close else nearest("", by_name.values())
