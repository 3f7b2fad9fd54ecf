"""A profile's results as a page that reads well on a code host, document by document."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from rungs.errors import StoreError
from rungs.exchange.export import export_run
from rungs.exchange.ro_crate import origins
from rungs.figures import BLANK, FIGURES, FigureEntry, figure_settings
from rungs.report.claims import claim_rows, count, read_claims
from rungs.report.rounding import core_time
from rungs.report.scorecard import claims_in_markdown
from rungs.report.shown_runs import describe, documents_of
from rungs.storage import result_file
from rungs.storage.atomic import replacing, write_text
from rungs.study.documents import document_name
from rungs.study.layers import Config
from rungs.study.layout import EVALUATION, HISTORY, RUN_FILES, Layout, inputs
from rungs.study.runs import Run, runs, shown_runs
from rungs.tables import TABLES, read_rows, save

#: the largest archive of weights that a page offers, bytes: it is committed with the page
MOST_WEIGHTS = 8_000_000
#: figures against a size, and how many sizes a data set must have for its panel to be a curve
SWEEPS, LEAST_SIZES = ("ladder_loglik", "ladder_depth", "latent_dimension", "overpruning"), 3
#: name of a figure -> why the page does not have it
Missing = Mapping[str, str]


def draw_results(config: Config) -> dict[str, str]:
    """Make all tables of a profile, and the figures of which it has runs, below the working folder.

    Runs of evidence may lack what a figure reads, if another run is the one that it shows.

    Returns:
        The figures that were not drawn, with the reason.
    """
    from rungs.figures import style

    layout = Layout(config["profile"])
    for name, table in TABLES.items():
        files = {
            kind: list(map(Path, found)) for kind, found in inputs(config, table.needs).items()
        }
        save(import_module(table.module).make(files), Path(layout.table(name, "")), table)
    missing = {}
    for name, entry in FIGURES.items():
        settings = figure_settings(config, name)
        shown = shown_in_gallery(config, name)
        if set(entry.needs) & set(RUN_FILES) and not shown:
            continue
        files = {kind: [Path(path)] for kind, path in [("calibration", layout.calibration)]}
        for kind in set(entry.needs) & set(RUN_FILES):
            files[kind] = [
                Path(layout.run(run)) / each for run in shown for each in RUN_FILES[kind]
            ]
        try:
            drawn = import_module(entry.module).draw(files, settings)
        except StoreError as error:
            missing[name] = str(error).split(";")[0]
            continue
        style.save(drawn, Path(layout.figure(name, "")))
    return missing


def shown_in_gallery(config: Config, name: str) -> list[Run]:
    """Return the runs that a figure of the page shows: of a figure against a size those of the data sets
    that have a curve."""
    entry = FIGURES[name]
    shown = shown_runs(config, entry.document, figure_settings(config, name))
    if name not in SWEEPS:
        return shown
    sizes: dict[tuple[str, str], set[int]] = {}
    for run in shown:
        sizes.setdefault((run.dataset, run.variant), set()).add(run.size)
    curves = {dataset for (dataset, _), found in sizes.items() if len(found) >= LEAST_SIZES}
    return [run for run in shown if run.dataset in curves]


def write_gallery(
    config: Config,
    command: str,
    output: Path,
    weights: Run | None = None,
    half: bool = False,
    missing: Missing | None = None,
) -> None:
    """Write ``README.md``, pictures and the tables' CSV of a finished profile.

    Args:
        command: how the page was made, shown on it.
        output: a folder, emptied of an older gallery first.
        weights: a run whose archive (:mod:`rungs.exchange.export`) the page offers, with float16 weights
            if ``half``.
        missing: figures that could not be drawn.

    Raises:
        StoreError: if a figure or table is missing, or the archive has more than
            :data:`MOST_WEIGHTS` bytes.
    """
    layout = Layout(config["profile"])
    for name in TABLES:
        _existing(layout.table(name, ".csv"))
    output.mkdir(parents=True, exist_ok=True)
    for kind in ("png", "csv", "json", "zip"):
        for old in output.glob(f"*.{kind}"):
            old.unlink()
    rows = read_claims(config)
    absent = _pictures(config, output, missing or {})
    documents = documents_of(
        config,
        (row["document"] for row in claim_rows(rows)),
        (entry.document for name, entry in FIGURES.items() if name not in absent),
    )
    lines = [f"# Gallery of the profile `{config['profile']}`", "", *_origin(config, command), ""]
    lines += [f"Claims: {count(rows)}.", ""]
    for document in (*documents, None):
        lines += [f"## {document_name(document)}", ""]
        if document is not None:
            if own := runs(config, document):
                lines += [f"{describe(own)}.", ""]
            of_document = [row for row in rows if row["document"] == document]
            if claim_rows(of_document):
                lines += ["### Claims", "", *claims_in_markdown(of_document), ""]
            lines += _bounds(layout, {run.path for run in own})
        for name, entry in FIGURES.items():
            if entry.document == document and name not in absent:
                lines += _figure(name, entry)
    lines += _runs(config)
    lines += ["## Tables", ""]
    for name, table in TABLES.items():
        shutil.copyfile(layout.table(name, ".csv"), output / f"{name}.csv")
        lines += [f"- [{name}.csv]({name}.csv): {table.title}"]
    asked = {
        name: why for name, why in absent.items() if FIGURES[name].document in (None, *documents)
    }
    if asked:
        lines += ["", "## Figures that are not here", ""]
        lines += [f"- {name}: {reason}" for name, reason in asked.items()]
    if weights is not None:
        lines += ["", "## Weights", "", _weights(config, weights, output, half)]
    write_text(output / "configuration.json", json.dumps(config, indent=1, sort_keys=True) + "\n")
    write_text(output / "README.md", "\n".join(lines) + "\n")


def _figure(name: str, entry: FigureEntry) -> list[str]:
    return [f"### {name}", "", f"{entry.title}.", "", f"![{entry.title}]({name}.png)", ""]


def _pictures(config: Config, output: Path, missing: Missing) -> dict[str, str]:
    """Copy the figures of a page; those that it does not have, with the reason."""
    absent = dict(missing)
    for name in FIGURES:
        if name not in absent and (reason := _picture(config, name, output)):
            absent[name] = reason
    return absent


def _picture(config: Config, name: str, output: Path) -> str:
    """Copy a figure, in full colour and packed as far as PNG goes; why there is none, where there is none."""
    from PIL import Image

    entry = FIGURES[name]
    if set(entry.needs) & set(RUN_FILES) and not shown_in_gallery(config, name):
        if name in SWEEPS:
            return f"it needs runs of at least {LEAST_SIZES} sizes of one data set"
        return "no run that it shows is here"
    source = _existing(Layout(config["profile"]).figure(name, ".png"))
    with Image.open(source) as picture:
        if picture.info.get("Description") == BLANK:
            return "no run that it shows is here"
        with replacing(output / f"{name}.png") as temporary:
            picture.convert("RGB").save(temporary, optimize=True)
    return ""


def _origin(config: Config, command: str) -> list[str]:
    """Command, configuration, commits, machines and cost."""
    layout = Layout(config["profile"])
    provenance = origins(config)
    commits = sorted({p["commit"] for p in provenance})
    rows = _rows(layout, "compute")
    hours = sum(float(row["seconds"]) * int(row["threads"]) for row in rows) / 3600
    memory = max(float(row["peak_memory_mb"]) for row in rows)
    return [
        "Made by `rungs gallery`, not by hand.",
        "",
        "```sh",
        command,
        "```",
        "",
        f"- configuration: [configuration.json](configuration.json); commits: {', '.join(commits)}",
        f"- machine: {'; '.join(sorted({p['machine'] for p in provenance}))}; "
        f"torch {', '.join(sorted({p['packages']['torch'] for p in provenance}))}",
        f"- cost: {len(runs(config))} runs, {core_time(hours)}, at most {memory:,.0f} MB a job",
    ]


def _runs(config: Config) -> list[str]:
    """A line a run: what it cost, and where it was made."""
    layout = Layout(config["profile"])
    seconds: dict[str, dict[str, float]] = {}
    for row in _rows(layout, "compute"):
        seconds.setdefault(row["run"], {})[row["rule"]] = float(row["seconds"])
    lines = [
        "## Runs",
        "",
        "Seconds of the work, of one thread unless the machine says otherwise.",
        "",
    ]
    lines += ["| run | training | evaluation | arithmetic | commit | machine |"]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    for run in runs(config):
        folder, cost = Path(layout.run(run)), seconds.get(run.path, {})
        trained, evaluated = (
            result_file.read(folder / name, only=()).attributes for name in (HISTORY, EVALUATION)
        )
        made = [trained["provenance"], evaluated["provenance"]]
        cells = [
            run.path,
            *(f"{cost[rule]:.0f}" if rule in cost else "" for rule in ("training", "evaluation")),
            trained.get("arithmetic", ""),
            *(
                ", ".join(dict.fromkeys(each[key] for each in made))
                for key in ("commit", "machine")
            ),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _weights(config: Config, run: Run, output: Path, half: bool) -> str:
    """Export a run beside the page; a line about it."""
    made = export_run(config, run, output, half)
    if made.size > MOST_WEIGHTS:
        made.path.unlink()
        raise StoreError(
            f"{run.path}: its archive has {made.size / 1e6:.1f} MB, a gallery's at most "
            f"{MOST_WEIGHTS / 1e6:.0f}; round its weights (--half) or offer a smaller run."
        )
    name = made.path.name
    return (
        f"- [{name}]({name}): `{run.path}`, {made.size / 1e6:.1f} MB; `rungs load {name}` unpacks it, "
        f"`rungs verify {name}` computes a sample of its numbers again."
    )


def _bounds(layout: Layout, wanted: set[str]) -> list[str]:
    """The bounds of some runs, published numbers beside those that they can be compared with."""
    rows = [row for row in _rows(layout, "loglik") if row["run"] in wanted]
    if not rows:
        return []
    active: dict[str, list[str]] = {}
    for row in _rows(layout, "active_units"):
        active.setdefault(row["run"], []).append(row["active_kl"])
    lines = [
        "### Bounds",
        "",
        "Nats per image; the standard error is over test images; active units by KL, bottom first. A "
        "published number stands beside a run of the same data, binarisation and networks; its recipe may "
        "be another.",
        "",
        "| run | test ELBO | L_k | s.e. | k | published | active | converged |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        numbers = [f"{float(row[name]):.2f}" for name in ("test_elbo", "test_lk", "test_lk_se")]
        cells = [
            row["run"],
            *numbers,
            row["k"],
            _published(row),
            ", ".join(active.get(row["run"], [])),
            row["converged"] or "no continuation",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _published(row: Mapping[str, str]) -> str:
    """Return a published number and how it is known.

    >>> _published({"published": "-82.12", "published_checked": "recalled"})
    '-82.12 (recalled)'
    """
    if not row["published"]:
        return ""
    return f"{float(row['published']):.2f} ({row['published_checked']})"


def _rows(layout: Layout, table: str) -> list[dict[str, str]]:
    return read_rows(_existing(layout.table(table, ".csv")))


def _existing(path: str) -> Path:
    if not Path(path).is_file():
        raise StoreError(f"{path}: is missing; run the profile first.")
    return Path(path)
