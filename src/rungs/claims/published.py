"""Published numbers, and which runs may be compared with them.

A published number stands beside a run only if data set, binarisation and networks are the same; a row of
``resources/published.csv`` that names no variant is of a model that no variant here has.
"""

from __future__ import annotations

import csv
import functools
import math
from collections.abc import Mapping
from typing import Any

from rungs.paths import ROOT

PUBLISHED = ROOT / "resources" / "published.csv"
Networks = dict[str, Any]
#: settings of networks where a run has none of that name
DEFAULTS = {"activation": "leaky"}


def _ladder(depth: int) -> Networks:
    sizes = {"latent_sizes": [64, 32, 16, 8, 4], "hidden_sizes": [512, 256, 128, 64, 32]}
    return {"activation": "leaky"} | {name: of[:depth] for name, of in sizes.items()}


#: document -> depth -> what the settings of a run's network must be
NETWORKS: dict[str, dict[int, Networks]] = {
    "ladder": {depth: _ladder(depth) for depth in range(1, 6)},
    "iwae": {
        1: {"latent_sizes": [50], "hidden_sizes": [200], "activation": "tanh"},
        2: {"latent_sizes": [100, 50], "hidden_sizes": [200, 100], "activation": "tanh"},
    },
    # VAE and VampPrior of Tomczak and Welling 2018
    "mixture": {1: {"latent_sizes": [40], "hidden_sizes": [300], "activation": "gated"}},
}
#: how runs are binarised; empty for data of 256 values, which are not
BINARISATIONS = ("dynamic", "")
Row = dict[str, str]


@functools.cache
def rows() -> tuple[Row, ...]:
    """Return all published numbers; columns as in ``resources/README.md``."""
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def same_networks(settings: Mapping[str, Any], document: str = "ladder") -> bool:
    """Return whether a run has the networks of a document."""
    wanted = NETWORKS.get(document, {}).get(settings["depth"])
    own = DEFAULTS | settings["network"]
    for name in ("latent_sizes", "hidden_sizes"):
        own[name] = list(own.get(name, ()))[: settings["depth"]]
    return wanted is not None and all(own.get(name) == value for name, value in wanted.items())


def comparable(row: Row, settings: Mapping[str, Any]) -> bool:
    """Return whether a published number is of the data, binarisation, model and networks of a run."""
    published = (row["dataset"], row["variant"], row["depth"])
    return (
        published == (settings["dataset"], settings["variant"], str(settings["depth"]))
        and row["binarisation"] in BINARISATIONS
        and same_networks(settings, row["document"])
    )


def find(settings: Mapping[str, Any], metric: str) -> Row | None:
    """Return the published number of one metric with which a run may be compared."""
    found = (row for row in rows() if row["metric"] == metric and comparable(row, settings))
    return next(found, None)


def beside(settings: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """Return the columns ``published`` and ``published_checked`` of a run, empty where there are none."""
    row = find(settings, metric)
    if row is None:
        return {"published": math.nan, "published_checked": None}
    return {"published": float(row["value"]), "published_checked": row["checked"]}
