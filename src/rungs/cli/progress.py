"""``rungs progress``: how far a profile has come, once or for as long as it runs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rungs.cli.shared import cli, load_config, print_json, with_config, with_json
from rungs.jobs.reporting import LINE_SECONDS, duration

if TYPE_CHECKING:
    from rungs.jobs.survey import Survey

#: seconds between two looks in a terminal
LOOK_SECONDS = 2.0
#: runs that are shown at once
SHOWN = 12


@cli.command(
    section="look",
    examples=(
        "rungs progress",
        "rungs progress --watch --config config/paper.yaml",
        "rungs progress --watch > progress.log &   # a line per minute",
    ),
)
@with_config
@with_json
@click.option("--watch", is_flag=True, help="Refresh until all is done, or Ctrl-C.")
def progress(profiles: tuple[Path, ...], as_json: bool, watch: bool) -> None:
    """Show jobs done and left, runs in training, the time left.

    A job is done if its files exist; snakemake -n shows what is stale. Times are estimates, scaled
    by what finished jobs have taken.
    """
    from rungs.jobs.survey import Pipeline

    pipeline = Pipeline(load_config(profiles))
    if watch and not as_json:
        try:
            follow(pipeline.survey)
        except KeyboardInterrupt:
            click.echo()
        return
    survey = pipeline.survey()
    if as_json:
        print_json(as_document(survey))
    else:
        from rich.console import Console

        Console().print(picture(survey))


def as_document(survey: Survey) -> dict[str, Any]:
    """A survey for scripts."""
    return dataclasses.asdict(survey) | {"finished": survey.finished}


def follow(survey: Callable[[], Survey], seconds: float | None = None) -> None:
    """Show a survey again and again until all is done: live in a terminal, else a line at a time.

    Args:
        seconds: between two looks.
    """
    from rich.console import Console

    console = Console()
    now = survey()
    if not console.is_terminal:
        while True:
            print(line(now), flush=True)
            if now.finished:
                return
            time.sleep(LINE_SECONDS if seconds is None else seconds)
            now = survey()
    from rich.live import Live

    with Live(picture(now), console=console, auto_refresh=False) as live:
        while not now.finished:
            time.sleep(LOOK_SECONDS if seconds is None else seconds)
            now = survey()
            live.update(picture(now), refresh=True)


def line(survey: Survey) -> str:
    """A survey in one plain line."""
    stages = ", ".join(f"{stage.name} {stage.done}/{stage.total}" for stage in survey.stages)
    if survey.finished:
        return f"{survey.profile}: {stages}; all done"
    now = "; ".join(_one(working) for working in survey.working[:3]) or "nothing is running"
    more = f" and {len(survey.working) - 3} more" if len(survey.working) > 3 else ""
    return f"{survey.profile}: {stages}; {now}{more}; about {duration(survey.seconds_left)} left"


def _one(working: Any) -> str:
    epoch = "" if working.epoch is None else f" epoch {working.epoch}/{working.epochs}"
    value = "" if working.value is None else f" {working.criterion} {working.value:.2f}"
    return f"{working.stage} {working.run}{epoch}{value}"


def picture(survey: Survey) -> Any:
    """A survey as something that rich prints."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    stages = Table(box=None, padding=(0, 1), header_style="bold")
    for name, side in (("stage", "left"), ("done", "right"), ("", "left"), ("work left", "right")):
        stages.add_column(name, justify=side)  # type: ignore[arg-type]
    for stage in survey.stages:
        bar = ProgressBar(total=max(stage.total, 1), completed=stage.done, width=24)
        left = duration(stage.seconds_left) if stage.done < stage.total else ""
        stages.add_row(stage.name, f"{stage.done}/{stage.total}", bar, left)
    parts: list[Any] = [Text(f"profile {survey.profile}"), stages]
    if survey.working:
        runs = Table(box=None, padding=(0, 1), header_style="bold")
        runs.add_column("now", overflow="fold")
        for name in ("epoch", "bound", "epochs/s", "images/s", "left"):
            runs.add_column(name, justify="right", no_wrap=True)
        for working in survey.working[:SHOWN]:
            runs.add_row(*_cells(working))
        parts.append(runs)
        if len(survey.working) > SHOWN:
            parts.append(Text(f"and {len(survey.working) - SHOWN} more"))
    if survey.finished:
        parts.append(Text("all done"))
    else:
        count = len(survey.working)
        now = f"{count} at a time" if count else "nothing is running"
        parts.append(
            Text(
                f"about {duration(survey.seconds_left)} left ({now}; "
                f"{duration(survey.work_seconds)} of work)"
            )
        )
    return Group(*parts)


def _cells(working: Any) -> list[str]:
    """The row of a run that is being worked on."""
    epoch = "" if working.epoch is None else f"{working.epoch}/{working.epochs}"
    value = "" if working.value is None else f"{working.value:.2f}"
    epochs = "" if working.epochs_per_second is None else f"{working.epochs_per_second:.3g}"
    images = "" if working.images_per_second is None else f"{working.images_per_second:,.0f}"
    name = working.run if working.stage == "train" else f"{working.run} ({working.stage})"
    return [name, epoch, value, epochs, images, duration(working.seconds_left)]
