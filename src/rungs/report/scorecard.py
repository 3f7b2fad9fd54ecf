"""The scorecard: every claim with its parts and verdicts, as plain text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill, shorten

from rungs.evaluation.convergence import CRITERIA, converged
from rungs.report.claims import (
    Row,
    absent,
    claim_rows,
    count,
    holds_if,
    interval,
    number,
    part_rows,
    read_claims,
    verdict,
)
from rungs.storage import result_file
from rungs.storage.atomic import write_text
from rungs.study.layers import Config
from rungs.study.layout import EVALUATION, HISTORY, Layout
from rungs.study.runs import runs


@dataclass(frozen=True)
class Origin:
    """Where a profile's results come from.

    Attributes:
        runs: how many.
        unconverged: the runs that have not converged.
        open: the runs without a continuation that could tell.
    """

    profile: str
    runs: int
    unconverged: list[str]
    commits: list[str]
    machines: list[str]
    open: list[str] = field(default_factory=list)


def read_origin(config: Config) -> Origin:
    """How many runs there are, which have not converged, and what made them."""
    layout, found = Layout(config["profile"]), runs(config)
    by_convergence: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    provenance = []
    for run in found:
        folder = Path(layout.run(run))
        training = result_file.read(folder / HISTORY, only=CRITERIA)
        evaluation = result_file.read(folder / EVALUATION, only=())
        by_convergence[converged(training)].append(run.path)
        provenance += [training.attributes["provenance"], evaluation.attributes["provenance"]]
    return Origin(
        config["profile"],
        len(found),
        by_convergence[False],
        sorted({made["commit"] for made in provenance}),
        sorted({made["machine"] for made in provenance}),
        by_convergence[None],
    )


def write(config: Config) -> str:
    """Write the scorecard in Markdown; return the plain text."""
    layout = Layout(config["profile"])
    rows, origin = read_claims(config), read_origin(config)
    write_text(layout.scorecard, to_markdown(rows, origin))
    return to_text(rows)


def to_text(rows: Sequence[Row], parts: bool = True) -> str:
    """Return the scorecard for a terminal: a line a claim, and below it one a part.

    Args:
        parts: whether parts have lines.
    """
    head = f"{'claim':<12}{'data':<13}{'verdict':<28}statement"
    lines = [f"Claims: {count(rows)}", "", head, "-" * 110]
    for claim in claim_rows(rows):
        decided = f"{claim['claim']:<12}{claim['dataset']:<13}{verdict(claim):<28}"
        lines.append(decided + claim["statement"])
        if parts:
            lines += [_part_line(part) for part in part_rows(rows, claim)]
    if lacking := absent(rows):
        lines += ["", fill(f"no runs here for {', '.join(lacking)}", 100)]
    return "\n".join(lines) + "\n"


def _part_line(part: Row) -> str:
    """Return the line of a part: measured, interval, unit, margin, basis."""
    measured = "-"
    if part["measured"]:
        measured = f"{number(part['measured'])} {interval(part)} {part['unit']}"
    name = shorten(part["part"], 22, placeholder="...")
    basis = shorten(_basis(part), 80, placeholder=" ...")
    return f"  {name:<23}{measured:<46} {holds_if(part):<11} {basis}"


def _basis(part: Row) -> str:
    """Return what a part rests on: sizes, seeds, drift, and why it is undecided."""
    drift = f"drift {number(part['drift'])}" if part["drift"] else ""
    return "; ".join(filter(None, (part["sizes"], drift, part["basis"])))


def to_markdown(rows: Sequence[Row], origin: Origin) -> str:
    """Return the scorecard as a page for a code host."""
    lines = [f"# Scorecard of the profile `{origin.profile}`", "", f"{count(rows)}.", ""]
    lines += [f"- {line}" for line in _origin_lines(origin)]
    lines += ["", *claims_in_markdown(rows)]
    if lacking := absent(rows):
        lines += ["", f"No runs here for {', '.join(lacking)}."]
    return "\n".join(lines) + "\n"


def claims_in_markdown(rows: Sequence[Row]) -> list[str]:
    """Return the lines of a table of claims and parts."""
    names = [
        *("claim", "data", "statement", "measured", "interval", "unit", "holds if", "drift"),
        *("published", "verdict", "basis"),
    ]
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    for claim in claim_rows(rows):
        cells = [f"**{claim['claim']}**", claim["dataset"], f"**{claim['statement']}**"]
        cells += [""] * 6 + [f"**{verdict(claim)}**", ""]
        lines.append(_markdown_row(cells))
        for part in part_rows(rows, claim):
            cells = ["", "", f"{part['part']}: {part['statement']}", number(part["measured"])]
            cells += [interval(part), part["unit"], holds_if(part), number(part["drift"])]
            lines.append(_markdown_row([*cells, _published(part), verdict(part), part["basis"]]))
    return lines


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _published(part: Row) -> str:
    value = number(part["published"])
    return f"{value} ({part['published_basis']})" if value else ""


def _origin_lines(origin: Origin) -> list[str]:
    lines = [f"{origin.runs} runs, {len(origin.unconverged)} of them not converged"]
    if origin.open:
        lines[0] += f", {len(origin.open)} without a continuation"
    lines.append(f"commit {', '.join(origin.commits)}")
    lines.append(f"machine: {'; '.join(origin.machines)}")
    return lines
