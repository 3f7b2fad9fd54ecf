"""The page ``docs/cli.md``, from the verbs themselves: ``python -m rungs.cli.reference`` writes it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from rungs.cli import cli
from rungs.cli.shared import EXIT_STATUS, SECTIONS
from rungs.paths import ROOT
from rungs.storage.atomic import write_text

PAGE = ROOT / "docs" / "cli.md"
HEAD = """# The command line

`python -m rungs.cli.reference` writes this page; `rungs VERB --help` shows the same in a terminal.

Verbs work on a profile and on `results/` in the working directory. The profile is `--config PATH` (which
may be repeated; the last wins), or the environment variable `RUNGS_CONFIG`, or `config/config.yaml`. For
a wrong name the error suggests the nearest right one.

| exit status | |
| --- | --- |
"""
COMPLETION = """
With `eval "$(rungs completion bash)"` in `~/.bashrc` (or the same with `zsh` in `~/.zshrc`) the Tab key
completes verbs, options and names of runs, figures, tables and data sets.
"""


def verbs(
    command: click.Command = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every verb that is not hidden, with its words; groups' own verbs after the group."""
    if isinstance(command, click.Group):
        for name, member in sorted(command.commands.items()):
            if not member.hidden:
                yield (*path, name), member
                yield from verbs(member, (*path, name))


def page() -> str:
    """The page's Markdown."""
    parts = [HEAD, *(f"| {status} | {text} |\n" for status, text in EXIT_STATUS.items())]
    parts.append(COMPLETION)
    found = list(verbs())
    for section, heading in SECTIONS.items():
        members = [
            (words, command)
            for words, command in found
            if getattr(cli.commands[words[0]], "section", "also") == section
        ]
        if members:
            parts.append(f"\n## {heading}\n")
            parts += [_entry(words, command) for words, command in members]
    return "".join(parts)


def _entry(words: tuple[str, ...], command: click.Command) -> str:
    """Heading, what it does, usage, options, examples."""
    context = click.Context(command, info_name=f"rungs {' '.join(words)}")
    usage = " ".join([context.info_name or "", *command.collect_usage_pieces(context)])
    text = inspect.cleandoc(command.help or "")
    options = [
        f"- `{record[0]}` {record[1]}\n"
        for parameter in command.params
        if isinstance(parameter, click.Option)
        and parameter.name != "profiles"
        and (record := parameter.get_help_record(context))
    ]
    lines = [f"\n### rungs {' '.join(words)}\n\n{text}\n\n"]
    lines += [*options, "\n"] if options else []
    examples = "\n".join(getattr(command, "examples", ()))
    lines.append(f"```sh\n# {usage}\n{examples}\n```\n")
    return "".join(lines)


if __name__ == "__main__":
    write_text(PAGE, page())
