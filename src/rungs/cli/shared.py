"""The group of verbs, and what verbs share: help with examples, the profile that they work on, names.

Exit statuses are in :data:`EXIT_STATUS`, and nowhere else.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from rungs.errors import ConfigError, StoreError, nearest
from rungs.study import profile as configuration
from rungs.study.layers import DEFAULT, Config
from rungs.study.layout import HISTORY, Layout
from rungs.study.runs import SIZES, Run

DONE, MISTAKE, USAGE, CONTINUE = 0, 1, 2, os.EX_TEMPFAIL
#: what a script can rely on
EXIT_STATUS = {
    DONE: "done",
    MISTAKE: "a mistake in configuration, data, names or files, reported in one line, or a failed check",
    USAGE: "a command line that cannot be parsed: a wrong verb, option or number of arguments",
    CONTINUE: "interrupted and saved; the same command continues (EX_TEMPFAIL)",
}
#: headings of the verbs' sections, in order; the verbs of :data:`BRIEF` ones share a line
SECTIONS = {
    "look": "Look",
    "work": "Work",
    "results": "Results",
    "archives": "Archives",
    "steps": "Steps",
    "also": "Also",
}
BRIEF = ("archives", "steps", "also")


class _Documented(click.Command):
    """A command with a place in the list of verbs, and with examples below its help.

    Args:
        section: a key of :data:`SECTIONS`.
        examples: command lines.
    """

    def __init__(
        self, *args: Any, section: str = "also", examples: Iterable[str] = (), **keywords: Any
    ) -> None:
        super().__init__(*args, **keywords)
        self.section, self.examples = section, tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, one a line."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class Verb(_Documented):
    """A verb."""


class Verbs(_Documented, click.Group):
    """A group that offers the nearest verb for a wrong one."""

    command_class = Verb

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look the verb up."""
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            ctx.fail(f"no such verb {name!r}{nearest(name, self.commands)}")
        return super().resolve_command(ctx, args)


Verbs.group_class = Verbs


class _Root(Verbs):
    """All verbs, in sections, on one screen."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs first, and the few options on the last line."""
        sections: dict[str, list[tuple[str, click.Command]]] = {name: [] for name in SECTIONS}
        for name, command in sorted(self.commands.items()):
            if not command.hidden:
                sections[getattr(command, "section", "also")].append((name, command))
        width = max(map(len, self.commands))
        formatter.write_paragraph()
        for section, members in sections.items():
            if section in BRIEF:
                names = ", ".join(name for name, _ in members)
                formatter.write_text(f"{SECTIONS[section]}: {names}")
                continue
            formatter.write(f"{SECTIONS[section]}:\n")
            for name, command in members:
                text = command.get_short_help_str(formatter.width - width - 4)
                formatter.write(f"  {name:<{width}}  {text}\n")
        formatter.write_text("Options: --version, -h, --help")


@click.group(
    cls=_Root,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="VERB [ARGUMENTS]...",
    options_metavar="",
)
@click.version_option(package_name="rungs")
def cli() -> None:
    """Replicate variational autoencoders: train, evaluate, draw.

    rungs VERB --help explains a verb and gives examples.
    """


class Name(click.ParamType[str]):
    """A name that shell completion knows.

    Args:
        kind: what it names.
        known: the names there are, from the configuration; it need not be valid.
    """

    def __init__(self, kind: str, known: Callable[[Config], Iterable[str]]) -> None:
        self.name, self._known = kind, known

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin so; none where the configuration cannot be read."""
        try:
            config = configuration.layer(ctx.params.get("profiles") or (DEFAULT,))
            names = list(self._known(config))
        except Exception:  # a Tab is no place for a traceback
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _datasets(config: Config) -> Iterable[str]:
    from rungs.data import dataset_names

    return dataset_names(config)


def _figures(config: Config) -> Iterable[str]:
    from rungs.figures import FIGURES

    return FIGURES


def _tables(config: Config) -> Iterable[str]:
    from rungs.tables import TABLES

    return TABLES


def _packs(config: Config) -> Iterable[str]:
    from rungs.jobs.packs import packs

    return packs(config)


def run_names(config: Config) -> list[str]:
    """The runs of a configuration, and those that they continue."""
    from rungs.study.runs import all_runs

    return [run.path for run in all_runs(config)]


DATASET, FIGURE, TABLE = (
    Name("dataset", _datasets),
    Name("figure", _figures),
    Name("table", _tables),
)
RUN, PACK = Name("run", run_names), Name("pack", _packs)


def known(name: str, valid: Iterable[str], kind: str) -> str:
    """``name``, if it is among the valid ones.

    Raises:
        ConfigError: if it is not; the message offers the nearest.
    """
    if name not in valid:
        raise ConfigError(f"{kind} {name!r} is not known{nearest(name, valid)}")
    return name


def known_run(config: Config, name: str) -> Run:
    """The run of a name: of a data set, variant and axis that there are, of any size and seed.

    Raises:
        ConfigError: if there is no such run; the message offers the nearest name or run.
    """
    from rungs.data import check_dataset
    from rungs.models import entry

    try:
        run = Run.parse(name)
    except ConfigError as error:
        names = run_names(config)
        # without its size or its seed, a name is the folder of others
        near = [other for other in names if other.startswith(f"{name.rstrip('/')}/")]
        near = near or get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else " 'rungs list runs' names them."
        raise ConfigError(f"{error}{hint}") from error
    check_dataset(run.dataset, config)
    known(run.variant, config["variants"], "variant")
    axis = entry(config["variants"][run.variant]["model"]).axis
    if run.axis != axis:
        raise ConfigError(
            f"run {name!r}: {run.variant} is studied along its {SIZES[axis]}; did you mean "
            f"'{run.dataset}/{run.variant}/{axis}{run.size}/seed{run.seed}'?"
        )
    return run


def trained_run(config: Config, name: str) -> Run:
    """The run of a name (:func:`known_run`), which is trained; it need not be of the profile.

    Raises:
        ConfigError: if there is no such run.
        StoreError: if it is not trained; the message names the command that trains it.
    """
    run = known_run(config, name)
    path = Path(Layout(config["profile"]).run(run)) / HISTORY
    if not path.is_file():
        raise StoreError(f"{path}: the file is missing; make it with 'rungs train {run.path}'.")
    return run


def with_config(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--config`` to a verb: profiles laid over config/common.yaml, or a frozen one."""
    return click.option(
        "--config",
        "profiles",
        multiple=True,
        envvar=configuration.CONFIG_VARIABLE,
        type=click.Path(path_type=Path),
        help="Profile (default: config/config.yaml); may be repeated, the last wins.",
    )(function)


def with_json(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--json`` to a verb."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(
        function
    )


#: the profiles that the command names
_named: tuple[Path, ...] = ()


def load_config(profiles: tuple[Path, ...]) -> Config:
    """The configuration of a verb."""
    global _named  # for its messages, which are made where only the configuration is known
    _named = profiles
    return configuration.load(profiles or (DEFAULT,))


def with_profiles(message: str) -> str:
    """A message and, where it advises a command of rungs, the option that names the profiles of this one."""
    if not _named or "--config" in message or not re.search(r"\brungs [a-z]+ ", message):
        return message
    files = " --config ".join(shlex.quote(str(path)) for path in _named)
    return f"{message.rstrip('.')}, adding --config {files}."


def print_json(content: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(content, indent=1))


def print_columns(rows: Iterable[Iterable[str]]) -> None:
    """Print rows of text, their columns aligned."""
    lines = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
