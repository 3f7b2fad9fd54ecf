"""How YAML has read a value that does not fit, and how to write the one that was meant.

YAML 1.1, as Snakemake reads it, has numbers and words of its own: ``1e-3`` is a text, ``no`` is false.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection
from typing import Any

_SCIENTIFIC = re.compile(r"([-+]?)([0-9]+\.?[0-9]*|\.[0-9]+)[eE]([-+]?)([0-9]+)")
#: texts as long as this are no numbers
_LONGEST = 40


def remedy(value: Any, types: Collection[str]) -> str:
    """The end of a message: how to write what was meant; empty where YAML has nothing to do with it.

    Args:
        value: as it was read.
        types: of JSON Schema, which were expected.

    >>> remedy("1e-3", ["number"])
    "; YAML reads '1e-3' as text: write 1.0e-3"
    >>> remedy(False, ["string"])
    '; YAML reads yes, no, on and off as true and false: put quotes around a text'
    """
    if isinstance(value, str) and {"number", "integer"} & set(types):
        written = _number(value, "number" in types)
        return f"; YAML reads {value!r} as text: write {written}" if written else ""
    if "string" in types and isinstance(value, bool):
        return "; YAML reads yes, no, on and off as true and false: put quotes around a text"
    if "string" in types and isinstance(value, int | float):
        return f'; YAML reads a number: put quotes around a text ("{json.dumps(value)}")'
    return ""


def _number(text: str, fraction: bool) -> str:
    """How YAML wants the number that a text is to a reader; empty if it is none.

    Args:
        fraction: whether it need not be whole.
    """
    text = text.strip()
    try:
        value = float(text) if len(text) < _LONGEST and text.isascii() else math.nan
    except ValueError:
        return ""
    if not math.isfinite(value) or not (fraction or value.is_integer()):
        return ""
    if not fraction or re.fullmatch(r"[-+]?[0-9_]+", text):
        return str(int(value))
    scientific = _SCIENTIFIC.fullmatch(text)
    if not scientific:
        return repr(value)
    sign, mantissa, exponent_sign, exponent = scientific.groups()
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    return f"{sign}{mantissa}e{exponent_sign or '+'}{exponent}"
