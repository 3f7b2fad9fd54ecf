"""``rungs evidence``: what tables, claims and figures need of finished runs, for a repository."""

from __future__ import annotations

from pathlib import Path

import click

from rungs.cli.shared import cli, load_config, with_config

FOLDER = click.argument("folder", type=click.Path(path_type=Path))


@cli.group(
    "evidence",
    section="archives",
    examples=("rungs evidence check resources/evidence/reference",),
)
def evidence() -> None:
    """Keep a profile's results in a small folder, and make its numbers again without training."""


@evidence.command(
    section="archives",
    examples=("rungs evidence collect --config config/reference.yaml my-evidence",),
)
@with_config
@FOLDER
def collect(profiles: tuple[Path, ...], folder: Path) -> None:
    """Add the finished runs of a profile to FOLDER.

    Of every run what tables, claims and figures read is kept, without weights; of more than 1,000 test images
    a part of it, reduced. Runs that FOLDER has stay as they are. The tables claims and loglik are made from
    what FOLDER then holds.
    """
    from rungs.exchange.evidence import collect as work

    found = work(load_config(profiles), folder)
    for path, reason in found.left.items():
        click.echo(f"{path}: not collected, {reason}", err=True)
    click.echo(
        f"{folder}: {len(found.added)} runs added, {len(found.kept)} were there, {len(found.left)} not "
        "collected"
    )


@evidence.command(
    "open", section="archives", examples=("rungs evidence open resources/evidence/reference",)
)
@FOLDER
def open_(folder: Path) -> None:
    """Check FOLDER, and put its files into results/PROFILE/.

    Nothing is overwritten: a file that is there and differs is an error. Then verbs that read results work
    with --config FOLDER/configuration.json.
    """
    from rungs.exchange.evidence import CONFIGURATION, open_evidence
    from rungs.study.layout import Layout

    config, sums = open_evidence(folder)
    click.echo(
        f"{Layout(config['profile']).root}: {len(sums) - 1} files; read them with --config "
        f"{folder / CONFIGURATION}"
    )


@evidence.command(
    section="archives", examples=("rungs evidence check resources/evidence/reference",)
)
@FOLDER
def check(folder: Path) -> None:
    """Make the tables of FOLDER again, and compare them byte by byte.

    The exit status is 1 if the folder is damaged or a table differs; the first difference is shown.
    """
    from rungs.exchange.evidence import KEPT_TABLES
    from rungs.exchange.evidence import check as work

    count = work(folder)
    click.echo(f"{folder}: {' and '.join(KEPT_TABLES)} made again from {count} runs, no difference")
