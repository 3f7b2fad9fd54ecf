"""YAML and JSON that someone else wrote: read without trust, into plain values.

A file of a few lines can nest so deeply that a parser's stack overflows, or name itself so often
that writing it out takes all memory ("billion laughs"). So sizes are looked at before anything is
built, and what comes out is made of mappings with names for keys, lists, texts, booleans, None and
numbers that are finite.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import yaml

#: characters of a file, values in it (repeated ones counted as often as they are named), levels
MOST_CHARACTERS, MOST_VALUES, MOST_LEVELS = 4_000_000, 200_000, 40
#: characters of a text, and the size of an integer
MOST_TEXT, MOST_INTEGER = 4096, 2**63
#: LibYAML's loader is several times faster, and every job reads the configuration
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"


class NotPlainError(ValueError):
    """The content of a file cannot be used; the message says where and why."""


def parse_yaml(text: str) -> Any:
    """The one document of a YAML text.

    Raises:
        NotPlainError: if it is not YAML, too large or too deep, has a key twice, or a number in base 8 or
            60, which nobody means.
    """
    _check_length(text)
    try:
        _check_levels(text)
        return yaml.load(text, _StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        where = f" in line {place.line + 1}, column {place.column + 1}" if place else ""
        if place and _has_tab(text, place):
            where += "; indent with spaces, not with tabs"
        raise NotPlainError(f"not valid YAML, {error.problem}{where}") from error
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError, TypeError) as error:
        if isinstance(error, NotPlainError):
            raise
        raise NotPlainError(f"not valid YAML, {error}") from error


def parse_json(text: str) -> Any:
    """A JSON text.

    Raises:
        NotPlainError: if it is not JSON, too large or too deep, or has a key twice.
    """
    _check_length(text)
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        if isinstance(error, NotPlainError):
            raise
        raise NotPlainError(f"not valid JSON, {error}") from error


def check_plain(content: Any) -> None:
    """Refuse values that are no plain ones, and more of them than a configuration can have.

    Raises:
        NotPlainError: naming the key.
    """
    left = [MOST_VALUES]

    def visit(value: Any, where: str, level: int) -> None:
        left[0] -= 1
        if level > MOST_LEVELS:
            raise NotPlainError(f"{_key(where)}: is nested more than {MOST_LEVELS} levels deep")
        if left[0] < 0:
            raise NotPlainError(f"{_key(where)}: is one of more than {MOST_VALUES} values")
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if not isinstance(key, str):
                    raise NotPlainError(
                        f"{_key(where)}: has the key {_short(key)}, which is not text; put it in quotes"
                    )
                visit(key, where, level)
                visit(inner, f"{where}.{key}", level + 1)
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                visit(inner, f"{where}[{i}]", level + 1)
        elif problem := _problem(value):
            raise NotPlainError(f"{_key(where)}: {problem}")

    visit(content, "", 0)


def _problem(value: Any) -> str | None:
    """The fault of a single value, None if it has none."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        if len(value) > MOST_TEXT:
            return f"has a text of {len(value)} characters, {MOST_TEXT} at most are allowed"
        return None
    if isinstance(value, int):
        return None if abs(value) < MOST_INTEGER else "found an integer of more than 63 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"found {value}, expected a finite number"
    return (
        f"found a {type(value).__name__}, expected text, a number, a list or a mapping; put quotes around "
        "a text"
    )


def _key(where: str) -> str:
    return f"configuration key {where.lstrip('.')[:200]}" if where else "configuration"


def _short(value: Any) -> str:
    return repr(value)[:100] if isinstance(value, int | float | None) else type(value).__name__


def _check_length(text: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise NotPlainError(f"has {len(text)} characters, {MOST_CHARACTERS} at most are allowed")


def _check_levels(text: str) -> None:
    """The parser's events come one by one, whatever they nest; what composes them recurses, in C."""
    level = 0
    for event in yaml.parse(text, _SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            level += 1
            if level > MOST_LEVELS:
                line = event.start_mark.line + 1
                raise NotPlainError(f"line {line} is nested more than {MOST_LEVELS} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1


class _StrictLoader(_SafeLoader):
    """YAML's last duplicate of a key silently wins, ``010`` is 8 and ``1:30`` is 90; here these are errors.
    A node that is named many times counts as often."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _values(node, {})
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is a list or a mapping", key.start_mark
                )
            if key.value in seen and key.tag != _MERGE:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> Any:
        value = super().construct_yaml_int(node)
        digits = node.value.replace("_", "")
        if ":" in digits:
            raise _surprise(node, value, "60")
        if digits.lstrip("+-").isdigit() and int(digits) != value:
            raise _surprise(node, value, "8", f"{int(digits)} or ")
        return value

    def construct_yaml_float(self, node: yaml.ScalarNode) -> Any:
        value = super().construct_yaml_float(node)
        if ":" in node.value:
            raise _surprise(node, value, "60")
        return value


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_yaml_int)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _StrictLoader.construct_yaml_float)


def _has_tab(text: str, place: yaml.Mark) -> bool:
    """Return whether there is a tab at a place."""
    lines = text.split("\n")
    return place.line < len(lines) and lines[place.line][place.column : place.column + 1] == "\t"


def _surprise(node: yaml.ScalarNode, value: Any, base: str, other: str = "") -> NotPlainError:
    """The error for a number that YAML reads in a base that nobody means."""
    return NotPlainError(
        f"line {node.start_mark.line + 1}: YAML reads {node.value[:100]} in base {base}, as {value}; write "
        f"{other}{value}, or put quotes around a text"
    )


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """Values that a node stands for, those of its children included.

    Anchors come before what names them, so this recurses no deeper than the text is nested.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in known:
        if known[id(node)] == 0:
            raise NotPlainError(f"line {node.start_mark.line + 1} contains itself")
        return known[id(node)]
    known[id(node)] = 0
    children = node.value
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    total = 1
    for child in children:
        total += _values(child, known)
        if total > MOST_VALUES:
            raise NotPlainError(
                f"line {node.start_mark.line + 1} stands for more than {MOST_VALUES} values"
            )
    known[id(node)] = total
    return total


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise NotPlainError(f"not valid JSON, the key {twice!r} is there twice")
    return found
