"""``rungs <verb>``: every rule's work, by hand. Heavy imports happen inside the verbs."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from rungs.cli import archives, measure, render, report, work
from rungs.cli.base import cli
from rungs.errors import RungsError

#: the modules whose verbs there are
VERBS = (work, render, measure, report, archives)


def main(args: list[str] | None = None) -> Any:
    """Run the command line; a user's mistake ends in one line and status 1."""
    try:
        return cli(args=args, prog_name="rungs")
    except RungsError as error:
        click.echo(f"rungs: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
