"""The scorecard: every claim with its parts and verdicts; as plain text, as Markdown, and as the front
page of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from textwrap import fill, shorten

from rungs.claims import claims
from rungs.evaluation.convergence import CRITERIA, converged
from rungs.figures import FIGURES
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
from rungs.study.documents import document_name
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
    """Write the scorecard's Markdown and the report's front page; return the plain text."""
    layout = Layout(config["profile"])
    rows, origin = read_claims(config), read_origin(config)
    write_text(layout.scorecard(".md"), to_markdown(rows, origin))
    write_text(layout.scorecard(".html"), to_html(rows, origin, layout))
    return to_text(rows)


def to_text(rows: Sequence[Row]) -> str:
    """Return the scorecard for a terminal: a line a claim, below it one a part."""
    head = f"{'claim':<12}{'data':<13}{'verdict':<28}statement"
    lines = [f"Claims: {count(rows)}", "", head, "-" * 110]
    for claim in claim_rows(rows):
        lines.append(
            f"{claim['claim']:<12}{claim['dataset']:<13}{verdict(claim):<28}"
            f"{shorten(claim['statement'], 60, placeholder=' ...')}"
        )
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


_COLUMNS = (
    *("Claim", "Statement", "Measured", "Holds if", "Seeds", "Drift", "Published", "Verdict"),
    "Evidence",
)
_RULE = (
    "A part is reproduced if its whole interval lies where it holds, not reproduced if none of it does, "
    "else undecided; a claim has the verdict of its worst part. The interval is over three seeds or more, "
    "and widened by the drift, by which the part still moved when its runs trained on. With fewer "
    "seeds nothing is decided, and a leaning says which way these models point. Numbers and bases in full: "
)


def to_html(rows: Sequence[Row], origin: Origin, layout: Layout) -> str:
    """Return the front page of the report: a fragment, whose links are those of Snakemake's report."""
    parts = [
        '<div class="front">',
        f"<h1>Which claims hold? Profile {escape(origin.profile)}</h1>",
        f'<p class="count">{escape(count(rows))}</p>',
        f"<p>{'<br>'.join(map(escape, _origin_lines(origin)))}</p>",
    ]
    if origin.unconverged:
        parts.append(
            "<details><summary>Runs that have not converged</summary><p>"
            f"{'<br>'.join(map(escape, origin.unconverged))}</p></details>"
        )
    shown = claim_rows(rows)
    for document in dict.fromkeys(row["document"] for row in shown):
        parts.append(f"<h2>{escape(document_name(document))}</h2>")
        parts.append(_html_table([r for r in shown if r["document"] == document], rows, layout))
    if lacking := absent(rows):
        parts.append(
            f"<p>Claims of which this profile has no runs: {escape(', '.join(lacking))}.</p>"
        )
    parts.append(
        f"<p>{_RULE}{_link('claims', layout)}. Figures and tables are in the menu, by document.</p></div>"
    )
    return "\n".join(parts) + "\n"


def _html_table(shown: Sequence[Row], rows: Sequence[Row], layout: Layout) -> str:
    evidence = {claim.name: claim.evidence for claim in claims()}
    lines = ['<table class="claims"><thead><tr>']
    lines += [f"<th>{name}</th>" for name in _COLUMNS]
    lines.append("</tr></thead><tbody>")
    for claim in shown:
        links = "<br>".join(_link(name, layout) for name in evidence.get(claim["claim"], ()))
        lines.append(_html_claim(claim, links))
        lines += [_html_part(part) for part in part_rows(rows, claim)]
    lines.append("</tbody></table>")
    return "\n".join(lines)


def _html_claim(claim: Row, links: str) -> str:
    name = f"{escape(claim['claim'])}<br><small>{escape(claim['dataset'])}</small>"
    statement = f"<b>{escape(claim['statement'])}</b>"
    cells = [name, statement, "", "", escape(claim["seeds"]), "", "", _html_verdict(claim), links]
    row = f'<tr class="claim" id="{escape(claim["claim"])}-{escape(claim["dataset"])}">'
    return f"{row}{_html_cells(cells)}</tr>"


def _html_part(part: Row) -> str:
    measured = escape(f"{number(part['measured'])} {part['unit']}" if part["measured"] else "")
    if part["low"]:
        measured += f"<br><small>{escape(interval(part))}</small>"
    published = escape(number(part["published"]))
    if published:
        published += f"<br><small>{escape(part['published_basis'])}</small>"
    basis = escape(shorten(f"{part['sizes']}; {part['basis']}", 120, placeholder=" ..."))
    cells = [
        "",
        f"{escape(part['part'])}: {escape(part['statement'])}",
        measured,
        f"{escape(holds_if(part))}<br><small>{escape(part['reason'])}</small>",
        escape(part["seeds"]),
        escape(number(part["drift"])),
        published,
        f"{_html_verdict(part)}<br><small>{basis}</small>",
        "",
    ]
    return f'<tr class="part">{_html_cells(cells)}</tr>'


def _html_verdict(row: Row) -> str:
    name = row["verdict"].replace(" ", "-")
    return f'<span class="verdict {name}">{escape(verdict(row))}</span>'


def _html_cells(cells: Sequence[str]) -> str:
    return "".join(
        f'<td data-name="{name}">{cell and f"<div>{cell}</div>"}</td>'
        for name, cell in zip(_COLUMNS, cells, strict=True)
    )


def _link(name: str, layout: Layout) -> str:
    """A link that opens a figure or table inside the report, with its caption."""
    kind, path = (
        ("img", layout.figure(name, ".png"))
        if name in FIGURES
        else ("html", layout.table(name, ".html"))
    )
    view = (
        f"{{navbarMode:'resultinfo',resultPath:'{path}',content:'{kind}',"
        f"contentPath:results['{path}'].data_uri}}"
    )
    return f'<a href="{escape(f"javascript:void app.setView({view})")}">{escape(name)}</a>'
