"""The group of verbs, and what verbs share: the profile that they work on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from rungs import config as configuration
from rungs.config import ROOT, Config

DEFAULT_PROFILE = ROOT / "config" / "quick.yaml"


class Verbs(click.Group):
    """A group that offers the nearest verb for a wrong one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look the verb up."""
        name = args[0]
        if self.get_command(ctx, name) is None:
            ctx.fail(f"no such verb {name!r}{configuration.nearest(name, self.commands)}")
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rungs")
def cli() -> None:
    """Replicate variational autoencoders: train, evaluate, draw."""


def with_config(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--config`` to a verb: profiles laid over config/common.yaml, or a frozen one."""
    return click.option(
        "--config",
        "profiles",
        multiple=True,
        envvar=configuration.CONFIG_VARIABLE,
        type=click.Path(path_type=Path),
        help="Profile to use (default: config/quick.yaml); may be repeated, later ones win.",
    )(function)


def load_config(profiles: tuple[Path, ...]) -> Config:
    """The configuration of a verb."""
    return configuration.load(profiles or (DEFAULT_PROFILE,))
