"""The verbs that the rules call to prepare, train and evaluate."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rungs import config as configuration
from rungs.cli.base import cli, load_config, with_config
from rungs.config import Run
from rungs.errors import ConfigError
from rungs.layout import Layout


@cli.command()
@with_config
@click.argument("dataset")
def prepare(profiles: tuple[Path, ...], dataset: str) -> None:
    """Prepare DATASET into results/data/DATASET.h5."""
    from rungs import data

    config = load_config(profiles)
    cache = Path(Layout.data("cache")).with_suffix("")
    made = data.prepare(dataset, configuration.raw_data(config), cache, config)
    made.write(Layout.data(dataset))
    counts = f"{len(made.train_images)} training and {len(made.test_images)} test images"
    shape = " x ".join(map(str, made.train_images.shape[1:]))
    classes = len(set(made.train_labels.tolist()) - {-1})
    click.echo(f"{dataset}: {counts} of {shape}, {classes or 'no'} classes")


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
