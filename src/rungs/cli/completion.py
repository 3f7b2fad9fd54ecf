"""``rungs completion``: verbs, options and names at the Tab key."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from rungs.cli.shared import cli

VARIABLE = "_RUNGS_COMPLETE"


@cli.command(
    examples=(
        'eval "$(rungs completion bash)"   # in ~/.bashrc',
        'eval "$(rungs completion zsh)"    # in ~/.zshrc',
        "rungs completion fish > ~/.config/fish/completions/rungs.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes verbs, options, runs, figures, tables, data sets."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "rungs", VARIABLE).source())
