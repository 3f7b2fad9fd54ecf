"""The verbs that tell what came out, claims first, and of which protocols."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rungs.cli.shared import MISTAKE, cli, load_config, print_json, with_config, with_json
from rungs.study.layers import DEFAULT, Config


@cli.command(section="steps", examples=("rungs scorecard --config config/smoke.yaml",))
@with_config
def scorecard(profiles: tuple[Path, ...]) -> None:
    """Write the scorecard (claims, parts, verdicts) of a profile, and print it."""
    from rungs.report.scorecard import write

    click.echo(write(load_config(profiles)), nl=False)


@cli.command(examples=("rungs report", "rungs report --config config/smoke.yaml"))
@with_config
def report(profiles: tuple[Path, ...]) -> None:
    """Write the report of a profile: claims, figures and tables in one page."""
    from rungs.report.page import write

    click.echo(write(load_config(profiles)))


@cli.command(examples=("rungs explorer",))
@with_config
def explorer(profiles: tuple[Path, ...]) -> None:
    """Write the networks that the report runs in its page."""
    from rungs.report.explorer import write

    click.echo(write(load_config(profiles)))


@cli.command(
    examples=(
        "rungs protocol --config config/reference.yaml",
        "rungs protocol --json | jq '.[] | select(.document == \"ladder\")'",
    ),
)
@with_config
@with_json
def protocol(profiles: tuple[Path, ...], as_json: bool) -> None:
    """Show what differs from the published protocols, run by run.

    The page is Markdown. It compares the settings of every run with those that its document states, and
    says where these were read.
    """
    from rungs.report.protocol import as_json as differences
    from rungs.report.protocol import page

    config = load_config(profiles)
    if as_json:
        print_json(differences(config))
    else:
        click.echo(page(config), nl=False)


def _numbers(
    context: click.Context, parameter: click.Parameter, values: list[str]
) -> list[list[int]]:
    """Read sets of seeds such as ``3,4,5``."""
    try:
        return [[int(seed) for seed in value.split(",")] for value in values]
    except ValueError as error:
        raise click.BadParameter("expected numbers, for example 3,4,5") from error


@cli.command(
    section="look",
    examples=(
        "rungs claims",
        "rungs claims --json | jq '.[] | select(.verdict == \"reproduced\")'",
        "rungs claims --seeds 3,4,5 --seeds 6,7,8",
    ),
)
@with_config
@with_json
@click.option(
    "--seeds",
    multiple=True,
    metavar="SEED,...",
    callback=_numbers,
    help="Decide the claims again with these seeds, and compare; may be repeated.",
)
def claims(profiles: tuple[Path, ...], as_json: bool, seeds: list[list[int]]) -> None:
    """Show the verdict on each claim, and the numbers of its parts.

    They are read from the table of claims that the profile's last run has made. With --seeds they are
    decided again from the evaluated runs of other seeds, which are a profile of their own; where these are
    missing, the message says how to make them. The exit status is 1 if a verdict goes from reproduced to
    not reproduced or back.
    """
    from rungs.report.claims import read_claims, typed
    from rungs.report.scorecard import to_text

    config = load_config(profiles)
    if seeds:
        _compare(config, profiles or (DEFAULT,), as_json, seeds)
        return
    rows = read_claims(config)
    if as_json:
        print_json([typed(row) for row in rows])
    else:
        click.echo(to_text(rows), nl=False)


def _compare(
    config: Config, profiles: tuple[Path, ...], as_json: bool, seeds: list[list[int]]
) -> None:
    from rungs.report.claims import read_claims, typed
    from rungs.report.seeds import compare, decide_again, to_markdown, with_seeds

    tables = {config["profile"]: read_claims(config)}
    for each in seeds:
        other = with_seeds(config, each)
        tables[f"seeds {', '.join(map(str, each))}"] = decide_again(other, profiles)
    found = compare(tables)
    if as_json:
        print_json({name: [typed(row) for row in rows] for name, rows in tables.items()})
    else:
        click.echo(to_markdown(found), nl=False)
    if found.flipped:
        sys.exit(MISTAKE)
