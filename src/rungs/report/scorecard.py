"""The scorecard: every claim, ours, published, verdict; in plain text, Markdown, and as the report's
front page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import fill, shorten

from rungs.claims import claims
from rungs.claims.core import LACKING
from rungs.errors import StoreError
from rungs.evaluation.convergence import converged
from rungs.figures import FIGURES
from rungs.storage import result_file
from rungs.storage.atomic import write_text
from rungs.study.documents import document_name
from rungs.study.layers import Config
from rungs.study.layout import EVALUATION, HISTORY, Layout
from rungs.study.runs import runs
from rungs.tables import read_rows

Row = dict[str, str]
VERDICTS = ("reproduced", "not reproduced", "undecided")


@dataclass(frozen=True)
class Origin:
    """Where a profile's results come from."""

    profile: str
    runs: int
    unconverged: list[str]
    commits: list[str]
    machines: list[str]


def read_claims(config: Config) -> list[Row]:
    """The rows of the table ``claims``.

    Raises:
        StoreError: if there is none.
    """
    path = Path(Layout(config["profile"]).table("claims", ".csv"))
    if not path.is_file():
        raise StoreError(
            f"{path}: the table of claims is missing; make it with 'snakemake --cores all {path}' and "
            "the same configuration, or with 'rungs table claims' once the runs are evaluated."
        )
    return read_rows(path)


def read_origin(config: Config) -> Origin:
    """Count the runs, name those that have not converged, and state what made them."""
    layout, found = Layout(config["profile"]), runs(config)
    unconverged, provenance = [], []
    for run in found:
        folder = Path(layout.run(run))
        training = result_file.read(folder / HISTORY, only=["elbo", "objective"])
        evaluation = result_file.read(folder / EVALUATION, only=["prior/objective"])
        if not converged(training, evaluation):
            unconverged.append(run.path)
        provenance += [training.attributes["provenance"], evaluation.attributes["provenance"]]
    return Origin(
        config["profile"],
        len(found),
        unconverged,
        sorted({made["commit"] for made in provenance}),
        sorted({made["machine"] for made in provenance}),
    )


def write(config: Config) -> str:
    """Write the scorecard's Markdown and the report's front page; return the plain text."""
    layout = Layout(config["profile"])
    rows, origin = read_claims(config), read_origin(config)
    write_text(layout.scorecard(".md"), to_markdown(rows, origin))
    write_text(layout.scorecard(".html"), to_html(rows, origin, layout))
    return to_text(rows)


def decided(rows: Sequence[Row]) -> list[Row]:
    """The claims of which the profile has runs."""
    return [row for row in rows if not row["basis"].startswith(LACKING)]


def absent(rows: Sequence[Row]) -> list[str]:
    """The names of the others, each once."""
    present = {row["claim"] for row in decided(rows)}
    return list(dict.fromkeys(row["claim"] for row in rows if row["claim"] not in present))


def count(rows: Sequence[Row]) -> str:
    """Count the claims of each verdict.

    >>> count([{"verdict": "undecided", "basis": ""}])
    '0 reproduced, 0 not reproduced, 1 undecided'
    """
    found = Counter(row["verdict"] for row in decided(rows))
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS)


def headline(row: Row) -> str:
    """A statement up to the colon behind which it says what is measured.

    >>> headline({"statement": "Ten latents are better than two: difference in nats"})
    'Ten latents are better than two'
    """
    return row["statement"].split(":")[0]


def number(value: str) -> str:
    """A number of the table, with three significant digits; nothing where there is none.

    >>> number("0.0354"), number("-12.3456"), number("")
    ('0.0354', '-12.3', '')
    """
    return f"{float(value):#.3g}".rstrip(".") if value else ""


def to_text(rows: Sequence[Row]) -> str:
    """The scorecard for a terminal."""
    lines = [f"Claims: {count(rows)}", ""]
    head = (
        f"{'claim':<11}{'data':<13}{'ours':>9}{'holds if':>10}{'published':>11}   {'verdict':<16}"
    )
    lines += [f"{head}statement", "-" * (len(head) + 50)]
    lines += [
        f"{row['claim']:<11}{row['dataset']:<13}{number(row['measured']):>9}{row['threshold']:>10}"
        f"{number(row['published']):>11}{'~' if differs(row) else ' '}  {row['verdict']:<16}"
        f"{shorten(headline(row), 60, placeholder=' ...')}"
        for row in decided(rows)
    ]
    if any(map(differs, decided(rows))):
        lines += ["", "~ published for other data or networks than ours: see scorecard.md"]
    if lacking := absent(rows):
        lines += ["", fill(f"no runs here for {', '.join(lacking)}", 100)]
    return "\n".join(lines) + "\n"


def differs(row: Row) -> bool:
    """Whether a published number is of other data or networks than ours.

    >>> differs({"published_basis": "from L5000 on mnist; same data, other networks"})
    True
    """
    return " other " in row["published_basis"]


def to_markdown(rows: Sequence[Row], origin: Origin) -> str:
    """The scorecard as a page for a code host."""
    lines = [f"# Scorecard of the profile `{origin.profile}`", "", f"{count(rows)}.", ""]
    lines += [f"- {line}" for line in _origin_lines(origin)]
    lines += ["", "| claim | data | statement | ours | holds if | published | verdict |"]
    lines += ["| --- | --- | --- | ---: | ---: | ---: | --- |"]
    for row in decided(rows):
        cells = [row["claim"], row["dataset"], row["statement"], number(row["measured"])]
        cells += [row["threshold"], _published(row), f"**{row['verdict']}**"]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    if lacking := absent(rows):
        lines += ["", f"No runs here for {', '.join(lacking)}."]
    return "\n".join(lines) + "\n"


def _published(row: Row) -> str:
    value = number(row["published"])
    return f"{value} ({row['published_basis']})" if value else ""


def _origin_lines(origin: Origin) -> list[str]:
    lines = [f"{origin.runs} runs, {len(origin.unconverged)} of them not converged"]
    lines.append(f"commit {', '.join(origin.commits)}")
    lines.append(f"machine: {'; '.join(origin.machines)}")
    return lines


def to_html(rows: Sequence[Row], origin: Origin, layout: Layout) -> str:
    """The front page of the report: a fragment, whose links are those of Snakemake's report."""
    evidence = {claim.name: claim.evidence for claim in claims()}
    parts = [
        '<div class="front">',
        f"<h1>Which claims hold? Profile {escape(origin.profile)}</h1>",
        f'<p class="count">{escape(count(rows))}</p>',
        f"<p>{'<br>'.join(map(escape, _origin_lines(origin)))}</p>",
    ]
    if origin.unconverged:
        parts.append(
            "<details><summary>Runs that have not converged, and decide nothing</summary><p>"
            f"{'<br>'.join(map(escape, origin.unconverged))}</p></details>"
        )
    shown = decided(rows)
    for document in dict.fromkeys(row["document"] for row in shown):
        parts.append(f"<h2>{escape(document_name(document))}</h2>")
        parts.append('<table class="claims"><thead><tr>')
        parts += [f"<th>{name}</th>" for name in _COLUMNS]
        parts.append("</tr></thead><tbody>")
        parts += [
            _html_row(row, evidence.get(row["claim"], ()), layout)
            for row in shown
            if row["document"] == document
        ]
        parts.append("</tbody></table>")
    if lacking := absent(rows):
        parts.append(
            f"<p>Claims of which this profile has no runs: {escape(', '.join(lacking))}.</p>"
        )
    parts.append(
        "<p>A claim is reproduced if the whole interval lies where it holds, not reproduced if "
        "none of it does, else undecided. Numbers and bases in full: "
        f"{_link('claims', layout)}. Figures and tables are in the menu, by document.</p></div>"
    )
    return "\n".join(parts) + "\n"


_COLUMNS = ("Claim", "Statement", "Ours", "Holds if", "Published", "Verdict", "Evidence")


def _html_row(row: Row, evidence: Sequence[str], layout: Layout) -> str:
    ours = escape(number(row["measured"]))
    if row["interval"]:
        ours += f"<br><small>{escape(row['interval'])}</small>"
    published = escape(number(row["published"]))
    if published:
        published += f"<br><small>{escape(row['published_basis'])}</small>"
    verdict = row["verdict"]
    words = f'<span class="verdict {verdict.replace(" ", "-")}">{escape(verdict)}</span>'
    if row["basis"]:
        words += f"<br><small>{escape(shorten(row['basis'], 120, placeholder=' ...'))}</small>"
    cells = [
        f"{escape(row['claim'])}<br><small>{escape(row['dataset'])}</small>",
        escape(row["statement"]),
        ours,
        escape(row["threshold"]),
        published,
        words,
        "<br>".join(_link(name, layout) for name in evidence),
    ]
    inner = "".join(
        f'<td data-name="{name}">{cell and f"<div>{cell}</div>"}</td>'
        for name, cell in zip(_COLUMNS, cells, strict=True)
    )
    return f'<tr id="{escape(row["claim"])}-{escape(row["dataset"])}">{inner}</tr>'


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
