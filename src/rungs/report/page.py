"""The report: one HTML file with a profile's claims, figures, tables and origin, which needs nothing
from elsewhere.

Text, numbers and pictures are gathered here; how they look is in ``templates/``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rungs.claims import claims
from rungs.claims.core import VERDICTS
from rungs.figures import FIGURES, FigureEntry, figure_settings
from rungs.figures.lacking import needs
from rungs.report import explorer
from rungs.report.claims import (
    Row,
    absent,
    claim_rows,
    holds_if,
    number,
    part_rows,
    read_claims,
    too_few_seeds,
    verdict,
)
from rungs.report.pictures import Picture, embed
from rungs.report.plots import Plot, plot
from rungs.report.rounding import core_time, rounded
from rungs.report.scorecard import Origin, read_origin
from rungs.report.sheets import Sheet, sheet
from rungs.report.shown_runs import describe, documents_of
from rungs.storage.atomic import write_text
from rungs.study.documents import COMMON, DOCUMENTS
from rungs.study.layers import Config
from rungs.study.layout import RUN_FILES, Layout
from rungs.study.runs import Run, runs, shown_runs
from rungs.tables import TABLES, read_rows

TEMPLATES = Path(__file__).with_name("templates")
#: the tables that the page does not show as such: its front is the table of claims
FRONT = ("claims",)


@dataclass(frozen=True)
class PartView:
    """A part of a claim: its row, numbers with the digits that its interval leaves, and its plot."""

    row: Row
    measured: str
    interval: str
    holds_if: str
    drift: str
    published: str
    verdict: str
    plot: Plot | None


@dataclass(frozen=True)
class ClaimView:
    """A claim on one data set.

    Attributes:
        address: its anchor, ``ladder.2-mnist5k``.
        first: whether it is the claim's first data set, which ``ladder.2`` leads to.
        evidence: figures and tables that show it.
    """

    row: Row
    verdict: str
    address: str
    first: bool
    parts: list[PartView]
    evidence: list[Link]


@dataclass(frozen=True)
class Link:
    """A link within the page."""

    text: str
    address: str


@dataclass(frozen=True)
class FigureView:
    """A figure.

    Attributes:
        number: in the page, from 1; None where there is no picture.
        picture: None where the profile has no runs for it; ``needs`` then says which.
        shown: its runs in words.
        runs: their paths.
        tables: ids of the tables with its numbers.
        settings: as YAML.
        claims: those that rest on it.
        explored: whether runs of it can be explored in the page.
    """

    name: str
    entry: FigureEntry
    number: int | None
    picture: Picture | None
    needs: str
    shown: str
    runs: list[str]
    tables: list[str]
    settings: str
    claims: list[ClaimView]
    explored: bool


@dataclass(frozen=True)
class Section:
    """A document with its claims, figures and tables; or, at the end, what is of no one document.

    Attributes:
        shown: its runs in words.
    """

    address: str
    name: str
    short: str
    shown: str
    claims: list[ClaimView]
    figures: list[FigureView]
    sheets: list[Sheet]


@dataclass(frozen=True)
class Lacking:
    """What the profile has no runs for: figures that are not drawn and tables without rows."""

    figures: list[FigureView]
    sheets: list[Sheet]


@dataclass(frozen=True)
class Cost:
    """What the runs of a profile cost: time in words, the longest job in minutes, the largest in MB."""

    time: str
    longest: float
    memory: float


def write(config: Config) -> Path:
    """Write the report of a profile.

    Raises:
        StoreError: if a figure, a table or a run is missing or damaged.
    """
    path = Path(Layout(config["profile"]).report)
    write_text(path, render(config))
    return path


def render(config: Config) -> str:
    """Return the report of a profile as HTML."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(content(config)) + "\n"


def content(config: Config) -> dict[str, Any]:
    """Return what the template shows."""
    layout = Layout(config["profile"])
    rows, origin = read_claims(config), read_origin(config)
    found = claim_views(rows)
    explored = explorer.read(config)
    figures = _figures(config, layout, found, explored)
    sheets = [sheet(name, Path(layout.table(name, ".csv"))) for name in TABLES if name not in FRONT]
    return {
        "profile": config["profile"],
        "origin": origin,
        "state": _state(origin),
        "shown": describe(runs(config)),
        "cost": _cost(layout),
        "counts": {name: sum(c.row["verdict"] == name for c in found) for name in VERDICTS},
        "sections": _sections(
            config,
            found,
            [figure for figure in figures if figure.picture],
            [each for each in sheets if each.rows],
        ),
        "lacking": Lacking(
            [figure for figure in figures if not figure.picture],
            [each for each in sheets if not each.rows],
        ),
        "few_seeds": too_few_seeds(rows),
        "absent": absent(rows),
        "explored": explored,
        "configuration": yaml.safe_dump(config, sort_keys=False, width=100, allow_unicode=True),
    }


def claim_views(rows: Sequence[Row]) -> list[ClaimView]:
    """Return the claims of which the profile has runs."""
    evidence = {claim.name: claim.evidence for claim in claims()}
    seen: set[str] = set()
    views = []
    for row in claim_rows(rows):
        name = row["claim"]
        views.append(
            ClaimView(
                row,
                verdict(row),
                f"{name}-{row['dataset']}",
                name not in seen,
                [_part_view(part) for part in part_rows(rows, row)],
                [Link(each, _address(each)) for each in evidence.get(name, ())],
            )
        )
        seen.add(name)
    return views


def _address(name: str) -> str:
    """Return the anchor of a figure or table; a table may be named like a document."""
    return name if name in FIGURES else "claims" if name in FRONT else f"table-{name}"


def _part_view(row: Row) -> PartView:
    half = (float(row["high"]) - float(row["low"])) / 2 if row["low"] and row["high"] else 0.0

    def text(name: str) -> str:
        if not row[name]:
            return ""
        return rounded(float(row[name]), half) if half > 0 else number(row[name])

    return PartView(
        row,
        text("measured"),
        f"[{text('low')}, {text('high')}]" if row["low"] else "",
        holds_if(row),
        number(row["drift"]),
        number(row["published"]),
        verdict(row),
        plot(row),
    )


def _sections(
    config: Config,
    found: Sequence[ClaimView],
    figures: Sequence[FigureView],
    sheets: Sequence[Sheet],
) -> list[Section]:
    """Return what there is of each document.

    Figures and tables of documents that have no section stand in the last one.
    """
    sections = []
    documents = documents_of(
        config,
        (claim.row["document"] for claim in found),
        (figure.entry.document for figure in figures),
    )
    for name in documents:
        own_claims = [claim for claim in found if claim.row["document"] == name]
        own_figures = [figure for figure in figures if figure.entry.document == name]
        sections.append(
            Section(
                name,
                DOCUMENTS[name],
                re.split(r" \(| and | of ", DOCUMENTS[name])[0],
                _shown(config, name, own_claims, own_figures),
                own_claims,
                own_figures,
                [each for each in sheets if each.document == name],
            )
        )
    rest = Section(
        "all-documents",
        COMMON,
        COMMON,
        describe(runs(config)),
        [],
        [figure for figure in figures if figure.entry.document is None],
        [each for each in sheets if each.document not in documents],
    )
    return [*sections, rest]


def _shown(
    config: Config, document: str, found: Sequence[ClaimView], figures: Sequence[FigureView]
) -> str:
    """Return the runs of a document in words: those of its section, else those that it takes of others."""
    if own := runs(config, document):
        return describe(own)
    paths = [path for claim in found for path in claim.row["runs"].split()]
    paths += [path for figure in figures for path in figure.runs]
    taken = describe(map(Run.parse, dict.fromkeys(paths)))
    return f"{taken}; of other sections of experiments, which has no runs in a section {document}"


def _figures(
    config: Config,
    layout: Layout,
    found: Sequence[ClaimView],
    explored: Mapping[str, Sequence[Any]],
) -> list[FigureView]:
    views: list[FigureView] = []
    in_order = [*DOCUMENTS, None]
    for name in sorted(FIGURES, key=lambda name: in_order.index(FIGURES[name].document)):
        entry, settings = FIGURES[name], figure_settings(config, name)
        of_runs = bool(set(entry.needs) & set(RUN_FILES))
        shown: list[Run] = shown_runs(config, entry.document, settings) if of_runs else []
        picture = embed(Path(layout.figure(name, ".png")))
        views.append(
            FigureView(
                name,
                entry,
                1 + sum(view.picture is not None for view in views) if picture else None,
                picture,
                "" if picture else needs(name, settings),
                describe(shown),
                [run.path for run in shown],
                _tables_of(name),
                yaml.safe_dump({"figures": {name: dict(settings)}}, sort_keys=False),
                [claim for claim in found if name in {link.text for link in claim.evidence}],
                bool(picture and explored.get(name)),
            )
        )
    return views


def _tables_of(figure: str) -> list[str]:
    """Return the ids of the tables with the numbers of a figure: those that stand beside it as evidence
    of a claim, and those of its document."""
    beside = {
        name for claim in claims() if figure in claim.evidence for name in claim.evidence
    } & TABLES.keys()
    document = FIGURES[figure].document
    found = [
        name
        for name, table in TABLES.items()
        if name not in FRONT
        and (name in beside or (document is not None and table.document == document))
    ]
    return found or ["loglik"]


def _state(origin: Origin) -> str:
    """Return how many runs have converged."""
    known = origin.runs - len(origin.open)
    told = f"{known - len(origin.unconverged)} of {known} have converged"
    if not origin.open:
        return told
    verb = "has" if len(origin.open) == 1 else "have"
    return f"{told}, {len(origin.open)} {verb} no continuation that could tell"


def _cost(layout: Layout) -> Cost | None:
    rows = read_rows(layout.table("compute", ".csv"))
    if not rows:
        return None
    seconds = [float(row["seconds"]) for row in rows]
    return Cost(
        core_time(
            sum(s * int(row["threads"]) for s, row in zip(seconds, rows, strict=True)) / 3600
        ),
        max(seconds) / 60,
        max(float(row["peak_memory_mb"]) for row in rows),
    )
