"""``rungs <verb>``: every rule's work, by hand. Heavy imports happen inside the verbs."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from rungs import config as configuration
from rungs.config import ROOT, Config, Run
from rungs.errors import ConfigError, RungsError
from rungs.layout import Layout, inputs

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


@cli.command()
@with_config
@click.argument("dataset")
def prepare(profiles: tuple[Path, ...], dataset: str) -> None:
    """Prepare DATASET into results/data/DATASET.h5."""
    from rungs import data

    config = load_config(profiles)
    cache = Path(Layout.data("cache")).with_suffix("")
    data.prepare(dataset, configuration.raw_data(config), cache).write(Layout.data(dataset))


@cli.command()
@with_config
@click.argument("dataset")
def classifier(profiles: tuple[Path, ...], dataset: str) -> None:
    """Train the classifier by which samples of DATASET are compared."""
    from rungs.classifier import train

    load_config(profiles)
    train(Path(Layout.data(dataset)), Path(Layout.classifier(dataset)))


def with_minutes(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--minutes`` to a verb that trains."""
    return click.option(
        "--minutes",
        type=click.FloatRange(0, min_open=True),
        help="Save and stop with status 75 after so long; the same command continues.",
    )(function)


@contextmanager
def interruptible(minutes: float | None = None) -> Iterator[None]:
    """A run that was asked to stop, or whose time is up, ends with EX_TEMPFAIL: trying again
    continues it."""
    from rungs.training import Interrupted

    def time_is_up(number: int, frame: object) -> None:
        raise Interrupted("the time is up between two runs; the same command continues.")

    if minutes is not None:
        # while a run trains, its own handler saves it first
        signal.signal(signal.SIGALRM, time_is_up)
        signal.setitimer(signal.ITIMER_REAL, 60 * minutes)
    try:
        yield
    except Interrupted as stopped:
        click.echo(str(stopped), err=True)
        sys.exit(os.EX_TEMPFAIL)


@cli.command()
@with_config
@with_minutes
@click.argument("run")
def train(profiles: tuple[Path, ...], minutes: float | None, run: str) -> None:
    """Train RUN (dataset/variant/depthD/seedS), or continue it."""
    config, parsed = load_config(profiles), Run.parse(run)
    from rungs.packs import train_runs

    with interruptible(minutes):
        train_runs(config, {parsed: Path(Layout(config["profile"]).run(parsed))})


@cli.command()
@with_config
@click.argument("run")
def prior(profiles: tuple[Path, ...], run: str) -> None:
    """Train the prior of the codes of the trained RUN, or continue it."""
    config, parsed = load_config(profiles), Run.parse(run)
    from rungs.packs import prior_run
    from rungs.prior import FOLDER

    with interruptible():
        folder = Path(Layout(config["profile"]).run(parsed)) / FOLDER
        prior_run(config, parsed, folder)


@cli.command()
@with_config
@click.argument("run")
def evaluate(profiles: tuple[Path, ...], run: str) -> None:
    """Measure the trained RUN: L_k, ELBO, active units, representations."""
    config, parsed = load_config(profiles), Run.parse(run)
    from rungs.packs import evaluate_run

    evaluate_run(config, parsed, Path(Layout(config["profile"]).run(parsed)))


@cli.command()
@with_config
@click.option("--shard", required=True, type=click.IntRange(0), help="Which one, from 0.")
@click.argument("run")
def likelihood(profiles: tuple[Path, ...], shard: int, run: str) -> None:
    """Estimate one shard of the likelihood of the trained RUN."""
    config, parsed = load_config(profiles), Run.parse(run)
    from rungs.evaluation.evaluate import evaluate_shard

    layout = Layout(config["profile"])
    paths = layout.shards(config, parsed)
    if shard >= len(paths):
        raise ConfigError(f"--shard {shard}: this run's likelihood has {len(paths)} shards.")
    data, folder = Path(layout.data(parsed.dataset)), Path(layout.run(parsed))
    settings = configuration.evaluation_settings(config, parsed)
    evaluate_shard(folder, data, settings, (shard, len(paths)), Path(paths[shard]))


@cli.command()
@with_config
@with_minutes
@click.argument("stage", type=click.Choice(["train", "prior", "evaluate"]))
@click.argument("name")
def pack(profiles: tuple[Path, ...], minutes: float | None, stage: str, name: str) -> None:
    """Do a STAGE (train, prior, evaluate) of every run of the pack NAME that is not complete."""
    config = load_config(profiles)
    from rungs.packs import work

    with interruptible(minutes):
        work(config, stage, name)


@cli.command()
@with_config
def calibrate(profiles: tuple[Path, ...]) -> None:
    """Estimate L_k where log p(x) is known."""
    config = load_config(profiles)
    from rungs.evaluation.calibration import calibrate as work

    work(config["calibration"], Path(Layout(config["profile"]).calibration))


def _files(
    config: Config,
    needs: tuple[str, ...],
    document: str | None = None,
    settings: Config | None = None,
) -> dict[str, list[Path]]:
    found = inputs(config, needs, document, settings)
    return {kind: [Path(path) for path in paths] for kind, paths in found.items()}


@cli.command()
@with_config
@click.argument("name")
def figure(profiles: tuple[Path, ...], name: str) -> None:
    """Draw figure NAME from stored results, as PNG and PDF."""
    from rungs.figures import FIGURES

    config = load_config(profiles)
    if name not in FIGURES:
        raise ConfigError(f"figure {name!r} is not known{configuration.nearest(name, FIGURES)}")
    entry = FIGURES[name]
    from rungs.figures import style

    settings = config["figures"][name]
    files = _files(config, entry.needs, entry.document, settings)
    drawn = import_module(entry.module).draw(files, settings)
    style.save(drawn, Path(Layout(config["profile"]).figure(name, "")))


@cli.command()
@with_config
@click.argument("name")
def table(profiles: tuple[Path, ...], name: str) -> None:
    """Make table NAME from stored results, as CSV and Markdown."""
    from rungs.tables import TABLES, save

    config = load_config(profiles)
    if name not in TABLES:
        raise ConfigError(f"table {name!r} is not known{configuration.nearest(name, TABLES)}")
    entry = TABLES[name]
    made = import_module(entry.module).make(_files(config, entry.needs))
    save(made, Path(Layout(config["profile"]).table(name, "")))


@cli.command()
@with_config
def summary(profiles: tuple[Path, ...]) -> None:
    """Write the summary of a profile's results, and print it."""
    from rungs.files import write_text
    from rungs.summary import summarise

    config = load_config(profiles)
    text = summarise(config)
    write_text(Layout(config["profile"]).summary, text)
    click.echo(text)


@cli.command()
@with_config
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def cost(profiles: tuple[Path, ...], as_json: bool) -> None:
    """Estimate what a profile will cost, before anything runs."""
    from rungs.cost import summarise

    config = load_config(profiles)
    totals = summarise(config)
    if as_json:
        click.echo(json.dumps(totals, indent=1))
        return
    device = config["compute"]["device"]
    click.echo(f"profile {config['profile']} on {device}, estimated:")
    if device == "cuda":
        click.echo(
            "  (no GPU has been measured: its hours are those of a CPU core, an upper bound)"
        )
    for name, value in totals.items():
        click.echo(f"  {name.replace('_', ' '):<22}{value:>12,.{0 if value >= 100 else 1}f}")


@cli.command()
@click.option("--only", multiple=True, help="One benchmark; may be repeated. All by default.")
@click.option("--repetitions", default=5, show_default=True, type=click.IntRange(2))
@click.option("--share", default=1.0, show_default=True, help="Of the work; less is a quick look.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
def bench(only: tuple[str, ...], repetitions: int, share: float, threads: int) -> None:
    """Measure our speed beside the machine's limits and beside pythae, into results/bench/."""
    from rungs.bench import BENCHMARKS, Scale, run
    from rungs.tables import save, to_markdown

    for name in only:
        if name not in BENCHMARKS:
            near = configuration.nearest(name, BENCHMARKS)
            raise ConfigError(f"benchmark {name!r} is not known{near}")
    made = run(only or tuple(BENCHMARKS), Scale(repetitions, share, threads)).table()
    save(made, Path("results/bench") / ("-".join(only) or "all"))
    click.echo(to_markdown(made))


@cli.command()
@with_config
@click.option("--command", required=True, help="How the profile was run; shown on the page.")
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
def gallery(profiles: tuple[Path, ...], command: str, output: Path) -> None:
    """Write a page with a finished profile's pictures, tables and origin into OUTPUT."""
    from rungs.gallery import write_gallery

    write_gallery(load_config(profiles), command, output)


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
