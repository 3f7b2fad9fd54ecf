"""``rungs <verb>``: the command line. Each verb does the work of one rule, by hand.

A verb parses its arguments, calls the room that does the work, and prints. The room may import every
other; only ``__main__`` imports it. Heavy imports happen inside the verbs, so that help and completion
are quick.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import Any

import click

from rungs.cli import archives
from rungs.cli import completion as shell
from rungs.cli import estimates as measure
from rungs.cli import evidence as keep
from rungs.cli import listing as look
from rungs.cli import progress as follow
from rungs.cli import results as render
from rungs.cli import sample as draw
from rungs.cli import scorecard as report
from rungs.cli import steps as work
from rungs.cli.shared import MISTAKE, cli, with_profiles
from rungs.errors import RungsError
from rungs.paths import IN_CLONE
from rungs.storage.atomic import FREE_SPACE, UNWRITABLE

__all__ = ["VERBS", "cli", "main"]

#: the modules whose verbs there are
VERBS = (look, follow, work, draw, render, report, archives, keep, measure, shell)


def main(args: list[str] | None = None) -> Any:
    """Run the command line; a user's mistake ends in one line; see
    :data:`rungs.cli.shared.EXIT_STATUS`."""
    # at its end Python would look through every module for garbage: half a second, after torch
    atexit.register(gc.freeze)
    try:
        return cli(args=args, prog_name="rungs")
    except RungsError as error:
        click.echo(f"rungs: {with_profiles(str(error))}", err=True)
        sys.exit(MISTAKE)
    except ModuleNotFoundError as error:
        if IN_CLONE:
            raise
        click.echo(
            f"rungs: this command needs {error.name}, which is not installed; install the wheel with its "
            "extra 'pipeline'.",
            err=True,
        )
        sys.exit(MISTAKE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(MISTAKE)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        place = error.filename or "a file or the terminal"
        click.echo(f"rungs: {place}: {error.strerror}. {FREE_SPACE}", err=True)
        sys.exit(MISTAKE)
