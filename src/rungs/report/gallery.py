"""A profile's results as a page that reads well on a code host."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from rungs.errors import StoreError
from rungs.exchange.export import export_run
from rungs.exchange.ro_crate import origins
from rungs.figures import FIGURES
from rungs.report.scorecard import claims_in_markdown
from rungs.storage.atomic import replacing, write_text
from rungs.study.layers import Config
from rungs.study.layout import Layout
from rungs.study.runs import Run, runs
from rungs.tables import TABLES, read_rows

COLOURS = 128


#: the largest archive of weights that a page offers, bytes: it is committed with the page
MOST_WEIGHTS = 8_000_000


def write_gallery(
    config: Config,
    command: str,
    output: Path,
    weights: Run | None = None,
    half: bool = False,
) -> None:
    """Write ``README.md``, small pictures and the tables' CSV of a finished profile.

    Args:
        command: how the profile was run, shown on the page.
        output: a folder, emptied of an older gallery first.
        weights: a run whose archive (:mod:`rungs.exchange.export`) the page offers, with float16 weights
            if ``half``.

    Raises:
        StoreError: if a figure or table is missing, or the archive has more than
            :data:`MOST_WEIGHTS` bytes.
    """
    layout = Layout(config["profile"])
    output.mkdir(parents=True, exist_ok=True)
    for kind in ("png", "csv", "json", "zip"):
        for old in output.glob(f"*.{kind}"):
            old.unlink()
    lines = [f"# Gallery of the profile `{config['profile']}`", "", *_origin(config, command), ""]
    lines += [
        "## Claims",
        "",
        *claims_in_markdown(_rows(layout, "claims")),
        "",
        "## Bounds",
        "",
        *_bounds(layout),
        "",
    ]
    for name, entry in FIGURES.items():
        if entry.document not in (None, *config["experiments"]):
            continue
        _shrink(_existing(layout.figure(name, ".png")), output / f"{name}.png")
        lines += [f"## {name}", "", f"{entry.title}.", "", f"![{entry.title}]({name}.png)", ""]
    lines += ["## Tables", ""]
    for name, table in TABLES.items():
        shutil.copyfile(_existing(layout.table(name, ".csv")), output / f"{name}.csv")
        lines += [f"- [{name}.csv]({name}.csv): {table.title}"]
    if weights is not None:
        lines += ["", "## Weights", "", _weights(config, weights, output, half)]
    write_text(output / "configuration.json", json.dumps(config, indent=1, sort_keys=True) + "\n")
    write_text(output / "README.md", "\n".join(lines) + "\n")


def _origin(config: Config, command: str) -> list[str]:
    """Command, configuration, commits, machine and cost."""
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
        f"torch {provenance[0]['packages']['torch']}",
        f"- cost: {len(runs(config))} runs, {hours:.1f} core-hours, at most {memory:,.0f} MB a job",
    ]


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


def _bounds(layout: Layout) -> list[str]:
    active: dict[str, list[str]] = {}
    for row in _rows(layout, "active_units"):
        active.setdefault(row["run"], []).append(row["active_kl"])
    lines = [
        "Nats per image; the standard error is over test images; active units by KL, bottom first."
    ]
    lines += [
        "",
        "| run | test ELBO | L_k | s.e. | k | active | converged |",
    ]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for row in _rows(layout, "loglik"):
        numbers = [f"{float(row[name]):.2f}" for name in ("test_elbo", "test_lk", "test_lk_se")]
        cells = [
            row["run"],
            *numbers,
            row["k"],
            ", ".join(active.get(row["run"], [])),
            row["converged"] or "no continuation",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _rows(layout: Layout, table: str) -> list[dict[str, str]]:
    return read_rows(_existing(layout.table(table, ".csv")))


def _existing(path: str) -> Path:
    if not Path(path).is_file():
        raise StoreError(f"{path}: is missing; run the profile first.")
    return Path(path)


def _shrink(source: Path, target: Path) -> None:
    """Copy a picture with a palette: a third of the size, no visible difference."""
    from PIL import Image

    with Image.open(source) as picture, replacing(target) as temporary:
        picture.convert("RGB").quantize(COLOURS).save(temporary, optimize=True)
