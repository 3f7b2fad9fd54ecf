"""The verbs that only look: what there is, whether the data are sound."""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import click

from rungs.cli.shared import (
    DATASET,
    MISTAKE,
    Name,
    cli,
    known,
    load_config,
    print_columns,
    print_json,
    with_config,
    with_json,
)
from rungs.paths import source_of
from rungs.study import profile as configuration
from rungs.study.layers import Config
from rungs.study.layout import STAGES, Layout
from rungs.study.runs import Run, all_runs, runs

#: name of a thing -> one line about it
Described = dict[str, str]


def _datasets(config: Config) -> Described:
    from rungs.data import catalogue

    return {name: entry.title for name, entry in catalogue(config).items()}


def _variants(config: Config) -> Described:
    return {name: describe_variant(variant) for name, variant in config["variants"].items()}


def describe_variant(variant: Config) -> str:
    """A variant's model, and what its recipe changes.

    >>> describe_variant({"model": "vae", "network": {"batch_norm": True}})
    'vae; batch_norm true'
    """
    sections = ("network", "training", "prior", "evaluation")
    changes = [text for section in sections for text in _changes(variant.get(section, {}))]
    if "continues" in variant:
        changes.insert(0, f"continues {variant['continues']}")
    return "; ".join([variant["model"], *changes])


def _changes(settings: Config) -> Iterable[str]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _changes(value)
        else:
            yield f"{key} {str(value).lower()}"


def _figures(config: Config) -> Described:
    from rungs.figures import FIGURES

    return {name: entry.title for name, entry in FIGURES.items()}


def _tables(config: Config) -> Described:
    from rungs.tables import TABLES

    return {name: entry.title for name, entry in TABLES.items()}


def _claims(config: Config) -> Described:
    from rungs.claims import claims

    return {claim.name: claim.statement for claim in claims()}


def _runs(config: Config) -> Described:
    layout = Layout(config["profile"])

    def state(run: Run) -> str:
        for stage in STAGES:
            record = Path(layout.failure(stage, run))
            if record.exists():
                return f"{stage} failed, see {record}"
        folder = Path(layout.run(run))
        done = [s for s in ("train", "evaluate") if all((folder / f).exists() for f in STAGES[s])]
        return {0: "not trained", 1: "trained", 2: "trained, evaluated"}[len(done)]

    return {run.path: state(run) for run in all_runs(config)}


def _models(config: Config) -> Described:
    from rungs.models import MODELS

    used = {variant["model"] for variant in config["variants"].values()}
    return {name: _summary(entry.location) for name, entry in MODELS.items() if name in used}


def _summary(location: str) -> str:
    """The first sentence about a module, without importing it and torch with it."""
    source = source_of(location.partition(":")[0]).read_text(encoding="utf-8")
    text = ast.get_docstring(ast.parse(source)) or ""
    return " ".join(text.split("\n\n")[0].split())


KINDS = {
    "datasets": _datasets,
    "variants": _variants,
    "figures": _figures,
    "tables": _tables,
    "claims": _claims,
    "runs": _runs,
    "models": _models,
}


@cli.command(
    "list",
    section="look",
    examples=(
        "rungs list                                # names of everything",
        "rungs list runs --config config/paper.yaml",
        "rungs list figures --json",
    ),
)
@with_config
@with_json
@click.argument("kind", required=False, type=Name("kind", lambda config: KINDS))
def list_(profiles: tuple[Path, ...], as_json: bool, kind: str | None) -> None:
    """List data sets, variants, models, runs, figures, tables, claims.

    KIND is datasets, variants, figures, tables, claims, runs or models.
    """
    if kind is not None:
        known(kind, KINDS, "kind")
    config = load_config(profiles)
    found = {name: KINDS[name](config) for name in (KINDS if kind is None else [kind])}
    if as_json:
        listed = {
            name: [{"name": item, "description": text} for item, text in items.items()]
            for name, items in found.items()
        }
        print_json(listed if kind is None else listed[kind])
    elif kind is not None:
        print_columns(found[kind].items())
    else:
        for name, items in found.items():
            words = ", ".join(items) if name != "runs" else f"{len(items)}, see rungs list runs"
            click.echo(
                textwrap.fill(
                    f"{name}: {words}", 100, subsequent_indent="  ", break_on_hyphens=False
                )
            )


@cli.group("data", section="look", examples=("rungs data check mnist5k",))
def data_() -> None:
    """Check data sets: see rungs data check."""


@data_.command(
    "check",
    examples=(
        "rungs data check                          # those that the profile uses",
        "RUNGS_RAW_DATA=/path/to/raw rungs data check mnist omniglot",
    ),
)
@with_config
@with_json
@click.argument("names", metavar="[DATASET]...", nargs=-1, type=DATASET)
def check(profiles: tuple[Path, ...], as_json: bool, names: tuple[str, ...]) -> None:
    """Check prepared data sets, and the raw files that they are made from.

    Compares checksums, shapes and ranges and, where the raw files are available, what they give
    with what was prepared. Lists what is missing and where to put it. The exit status is 1 if
    something is wrong.
    """
    from rungs.data import check_dataset
    from rungs.data.check import check as look

    config = load_config(profiles)
    for name in names:
        check_dataset(name, config)
    used = dict.fromkeys(run.dataset for run in runs(config))
    raw = configuration.raw_data(config)
    found = [look(name, Path(Layout.data(name)), raw, config) for name in names or used]
    if as_json:
        print_json([vars(one) for one in found])
    else:
        for one in found:
            click.echo(f"{one.dataset:<12} prepared: {one.prepared:<8} source: {one.source}")
            for line in (*one.problems, *one.notes):
                click.echo(click.wrap_text(line, 100, "  ", "    "))
    if any(one.problems for one in found):
        sys.exit(MISTAKE)
