"""The verbs that tell what came out, claims first."""

from __future__ import annotations

from pathlib import Path

import click

from rungs.cli.shared import cli, load_config, with_config


@cli.command(section="steps", examples=("rungs scorecard --config config/smoke.yaml",))
@with_config
def scorecard(profiles: tuple[Path, ...]) -> None:
    """Write the scorecard (claim, ours, published, verdict) of a profile, and print it."""
    from rungs.report.scorecard import write

    click.echo(write(load_config(profiles)), nl=False)
