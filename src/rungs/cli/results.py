"""The verbs that turn stored results into figures, tables and pages."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from rungs.cli.shared import FIGURE, TABLE, cli, known, load_config, with_config
from rungs.study.identity import check_evaluated, check_trained
from rungs.study.layers import Config
from rungs.study.layout import Layout, inputs
from rungs.study.runs import Run, shown_runs


def _files(
    config: Config,
    needs: tuple[str, ...],
    document: str | None = None,
    settings: Config | None = None,
) -> dict[str, list[Path]]:
    """The files of each kind, of runs that are those which the configuration asks for."""
    for run in shown_runs(config, document, settings or {}):
        if "evaluation" in needs:
            check_evaluated(config, run)
        elif "training" in needs:
            check_trained(config, run)
    found = inputs(config, needs, document, settings)
    return {kind: [Path(path) for path in paths] for kind, paths in found.items()}


@cli.command(
    section="results",
    examples=("rungs figure ladder_loglik", "rungs figure vae_manifold --config config/smoke.yaml"),
)
@with_config
@click.argument("name", type=FIGURE)
def figure(profiles: tuple[Path, ...], name: str) -> None:
    """Draw figure NAME from stored results, as PNG and PDF."""
    from rungs.figures import FIGURES, figure_settings

    config = load_config(profiles)
    entry = FIGURES[known(name, FIGURES, "figure")]
    from rungs.figures import style
    from rungs.figures.lacking import not_drawn

    settings = figure_settings(config, name)
    files = _files(config, entry.needs, entry.document, settings)
    drawn = import_module(entry.module).draw(files, settings)
    stem = Path(Layout(config["profile"]).figure(name, ""))
    if style.is_blank(drawn):
        reason = not_drawn(name, settings)
        click.echo(reason)
        style.say_instead(drawn, reason)
    style.save(drawn, stem)
    click.echo(f"{stem}.png, {stem}.pdf")


@cli.command(
    section="results",
    examples=("rungs table loglik", "rungs table claims --config config/smoke.yaml"),
)
@with_config
@click.argument("name", type=TABLE)
def table(profiles: tuple[Path, ...], name: str) -> None:
    """Make table NAME from stored results, as CSV and Markdown."""
    from rungs.tables import TABLES, save

    config = load_config(profiles)
    entry = TABLES[known(name, TABLES, "table")]
    made = import_module(entry.module).make(_files(config, entry.needs))
    stem = Path(Layout(config["profile"]).table(name, ""))
    save(made, stem, entry)
    click.echo(f"{stem}.csv, {stem}.md: {len(made)} rows")


@cli.command(examples=("rungs summary",))
@with_config
def summary(profiles: tuple[Path, ...]) -> None:
    """Write the summary of a profile's results, and print it."""
    from rungs.report.summary import summarise
    from rungs.storage.atomic import write_text

    config = load_config(profiles)
    text = summarise(config)
    write_text(Layout(config["profile"]).summary, text)
    click.echo(text)


@cli.command(
    examples=(
        "rungs gallery --config config/gallery.yaml --command 'make all' docs/gallery",
        "rungs gallery --evidence resources/evidence/reference page",
    )
)
@with_config
@click.option("--command", help="Command that ran the profile, for the page.")
@click.option(
    "--evidence",
    type=click.Path(path_type=Path),
    help="Make it from this folder of evidence, tables and figures too.",
)
@click.option("--weights", metavar="RUN", help="Offer the archive of this run.")
@click.option("--half", is_flag=True, help="Store float16 weights, as rungs export does.")
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
def gallery(
    profiles: tuple[Path, ...],
    command: str | None,
    evidence: Path | None,
    weights: str | None,
    half: bool,
    output: Path,
) -> None:
    """Write a page with a profile's claims, figures, tables and origin into OUTPUT.

    The profile is a finished one below the working folder, and the page states the --command that ran it.
    With --evidence it is that of the evidence, whose configuration is used: all tables are made again, and
    the figures of which it has runs.
    """
    from rungs.report.gallery import draw_results, write_gallery

    offered = None if weights is None else Run.parse(weights)
    if evidence is None:
        if command is None:
            raise click.UsageError("give --command, or --evidence FOLDER")
        write_gallery(load_config(profiles), command, output, offered, half)
        click.echo(output / "README.md")
        return
    if profiles or offered is not None:
        raise click.UsageError("--evidence has its configuration and no weights")
    from rungs.exchange.evidence import opened

    target = output.absolute()
    with opened(evidence) as config:
        missing = draw_results(config)
        made = command or f"rungs gallery --evidence {evidence} {output}"
        write_gallery(config, made, target, missing=missing)
    click.echo(output / "README.md")
