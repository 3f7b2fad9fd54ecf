"""The documents' own numbers for the parts of their claims."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rungs.claims.core import Part
from rungs.claims.published import find


def stated(part: Part, settings: Mapping[str, Mapping[str, Any]]) -> tuple[float, str]:
    """Return the document's own number for a part, and where it comes from.

    Args:
        part: of a claim.
        settings: the settings of our runs, by their names in the part.

    Returns:
        NaN and an empty text where there is none, or none that may be compared with ours.
    """
    if part.published is None or not settings:
        return math.nan, ""
    metric = part.published.metric
    found = {name: find(settings[name], metric) for name in part.needs}
    known = {name: row for name, row in found.items() if row is not None}
    if len(known) < len(found):
        return math.nan, ""
    value = part.published.combine({name: float(row["value"]) for name, row in known.items()})
    citations = ", ".join(dict.fromkeys(row["citation"] for row in known.values()))
    checked = ", ".join(dict.fromkeys(row["checked"] for row in known.values()))
    return round(value, 6), f"{metric} of {citations}; {checked}"
