"""Published numbers, and which runs may be compared with them."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from typing import Any

from rungs.paths import ROOT

PUBLISHED = ROOT / "resources" / "published.csv"
#: the ladder's networks; only a run that has them is compared with the paper's numbers
LATENT_SIZES = (64, 32, 16, 8, 4)
HIDDEN_SIZES = (512, 256, 128, 64, 32)
#: (data set, variant, depth) -> value and how it was checked
Numbers = dict[tuple[str, str, int], tuple[str, str]]


def rows() -> list[dict[str, str]]:
    """All published numbers; columns as in ``resources/published.csv``."""
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def published(metric: str) -> Numbers:
    """The ladder document's numbers of one metric."""
    return {
        (row["dataset"], row["variant"], int(row["depth"])): (row["value"], row["checked"])
        for row in rows()
        if row["document"] == "ladder" and row["metric"] == metric
    }


def same_networks(settings: Mapping[str, Any]) -> bool:
    """Whether a run has the ladder document's networks."""
    depth, network = settings["depth"], settings["network"]
    return bool(
        tuple(network.get("latent_sizes", [])[:depth]) == LATENT_SIZES[:depth]
        and tuple(network.get("hidden_sizes", [])[:depth]) == HIDDEN_SIZES[:depth]
    )


def beside(settings: Mapping[str, Any], numbers: Numbers) -> dict[str, Any]:
    """The columns ``published`` and ``published_checked`` of a run; empty unless the data set and
    the networks are the published ones."""
    key = (settings["dataset"], settings["variant"], settings["depth"])
    value, checked = numbers.get(key, ("", None)) if same_networks(settings) else ("", None)
    return {"published": float(value) if value else math.nan, "published_checked": checked}
