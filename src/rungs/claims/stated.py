"""The documents' own numbers for their claims."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rungs.claims import published
from rungs.claims.core import Claim


def stated(claim: Claim, dataset: str, used: Sequence[Mapping[str, Any]]) -> tuple[float, str]:
    """The document's number for a claim, and how far ours may be compared with it.

    The number is that of the same data set if the document has it, else of one that it has.

    Args:
        used: settings of our runs that the claim rests on.

    Returns:
        NaN and an empty text where the document states no number.
    """
    if claim.published is None:
        return math.nan, ""
    rows = [
        row
        for row in published.rows()
        if row["document"] == claim.document and row["metric"] == claim.published.metric
    ]
    found = list(dict.fromkeys(row["dataset"] for row in rows))
    for candidate in sorted(found, key=lambda name: name != dataset):
        needed = {
            name: row
            for name, need in claim.needs.items()
            for row in rows
            if (row["dataset"], row["variant"]) == (candidate, need.variant)
            and (need.axis != "depth" or int(row["depth"]) == need.size)
        }
        if needed.keys() != claim.needs.keys():
            continue
        value = claim.published.combine({k: float(row["value"]) for k, row in needed.items()})
        return value, _basis(claim, dataset, list(needed.values()), used)
    return math.nan, ""


def _basis(
    claim: Claim, dataset: str, rows: Sequence[dict[str, str]], used: Sequence[Mapping[str, Any]]
) -> str:
    """Where a number comes from, and what is the same here."""
    first = rows[0]
    checked = "listing" if all(row["checked"] == "listing" for row in rows) else "recalled"
    text = f"{first['metric']} on {first['dataset']}, {checked}"
    if not used:
        return text
    data = "same data" if first["dataset"] == dataset else "other data"
    same = claim.document == "ladder" and all(map(published.same_networks, used))
    return f"{text}; {data}, {'same' if same else 'other'} networks here"
