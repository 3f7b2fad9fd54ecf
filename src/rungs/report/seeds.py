"""A profile's claims decided again with other seeds, and the verdicts side by side."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rungs.claims.core import NOT_REPRODUCED, REPRODUCED, UNDECIDED
from rungs.claims.intervals import MIN_SEEDS
from rungs.errors import ConfigError, StoreError
from rungs.report.claims import Row, number, verdict
from rungs.storage.atomic import write_text
from rungs.study.layers import Config
from rungs.study.layout import EVALUATION, Layout, inputs
from rungs.study.runs import runs

#: what identifies a row of the table of claims
KEY = ("claim", "part", "dataset")
#: the verdicts between which no claim may go when the seeds change
OPPOSITE = {REPRODUCED, NOT_REPRODUCED}


def with_seeds(config: Config, seeds: Sequence[int]) -> Config:
    """Return the profile with other seeds, as a profile of its own that keeps its results apart.

    Runs with too few seeds to decide a claim are left out, unless the profile has no others.

    Args:
        config: a complete configuration.
        seeds: of every run.

    Raises:
        ConfigError: if there are none, or one twice.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds {list(seeds)}: expected different numbers, for example 3,4,5.")
    name = f"{config['profile']}-seeds-{'-'.join(map(str, seeds))}"
    return config | {"profile": name, "experiments": _experiments(config, seeds)}


def _experiments(config: Config, seeds: Sequence[int]) -> dict[str, list[Any]]:
    experiments: dict[str, list[Any]] = config["experiments"]
    deciding = {
        document: [grid for grid in grids if len(grid["seeds"]) >= MIN_SEEDS]
        for document, grids in experiments.items()
    }
    chosen = deciding if any(deciding.values()) else experiments
    return {
        document: [grid | {"seeds": list(seeds)} for grid in grids]
        for document, grids in chosen.items()
    }


def decide_again(config: Config, profiles: Sequence[Path]) -> list[Row]:
    """Decide the claims of a profile with other seeds from its evaluated runs.

    Args:
        config: as :func:`with_seeds` returns it.
        profiles: files of the profile that it was made of.

    Raises:
        StoreError: if runs are missing; the message is the command that makes them.
    """
    layout = Layout(config["profile"])
    found = runs(config)
    absent = [run for run in found if not (Path(layout.run(run)) / EVALUATION).is_file()]
    if absent:
        overlay = f"{layout.root}/profile.yaml"
        part = {name: config[name] for name in ("profile", "experiments")}
        write_text(overlay, json.dumps(part, indent=1) + "\n")
        files = " ".join(shlex.quote(str(path)) for path in (*profiles, overlay))
        raise StoreError(
            f"{len(absent)} of {len(found)} runs are missing, {layout.run(absent[0])} is the first; make "
            f"them with 'snakemake --cores all {layout.table('claims', '.csv')} --configfile {files}'."
        )
    return _decided(config)


def _decided(config: Config) -> list[Row]:
    """Return the rows of the table of claims as if they had been stored and read."""
    from rungs.tables.claims import make

    files = inputs(config, ("training", "evaluation"))
    table = make({kind: [Path(path) for path in paths] for kind, paths in files.items()})
    return list(csv.DictReader(io.StringIO(table.to_csv(index=False))))


@dataclass(frozen=True)
class Comparison:
    """Verdicts of the same claims and parts by several sets of seeds.

    Attributes:
        names: of the sets.
        rows: key of a row -> its row in each set.
    """

    names: tuple[str, ...]
    rows: Mapping[tuple[str, ...], tuple[Row, ...]]

    @property
    def flipped(self) -> list[tuple[str, ...]]:
        """The keys that are reproduced by one set and not reproduced by another."""
        return [k for k, rows in self.rows.items() if {r["verdict"] for r in rows} >= OPPOSITE]

    @property
    def moved(self) -> list[tuple[str, ...]]:
        """The keys that are decided by one set and undecided by another, and not flipped."""
        flipped = set(self.flipped)
        return [
            key
            for key, rows in self.rows.items()
            if key not in flipped
            and len(found := {row["verdict"] for row in rows}) > 1
            and UNDECIDED in found
        ]


def compare(tables: Mapping[str, Sequence[Row]]) -> Comparison:
    """Lay tables of claims side by side; rows that one of them lacks are left out."""
    keyed = [{tuple(row[k] for k in KEY): row for row in rows} for rows in tables.values()]
    common = [key for key in keyed[0] if all(key in each for each in keyed)]
    return Comparison(tuple(tables), {key: tuple(each[key] for each in keyed) for key in common})


def to_markdown(comparison: Comparison) -> str:
    """Return the comparison as a table in Markdown, which reads well on a terminal, too."""
    heads = ["claim", "part", "data", *comparison.names]
    lines = [heads, ["---"] * len(heads)]
    for (claim, part, dataset), rows in comparison.rows.items():
        lines.append([claim, part, dataset, *map(_cell, rows)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "| " + " | ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    return "\n".join([*text, "", *summary(comparison)]) + "\n"


def summary(comparison: Comparison) -> list[str]:
    """Return the lines that say what moved."""

    def named(keys: Sequence[tuple[str, ...]]) -> str:
        names = ", ".join(" ".join(filter(None, key[:2])) for key in keys)
        return f"{len(keys)}{f' ({names})' if names else ''}"

    return [
        f"Between reproduced and not reproduced: {named(comparison.flipped)}.",
        f"To or from undecided: {named(comparison.moved)}.",
    ]


def _cell(row: Row) -> str:
    value = number(row["measured"])
    return f"{verdict(row)} ({value})" if value else verdict(row)
