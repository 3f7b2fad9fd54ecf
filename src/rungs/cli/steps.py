"""The verbs that the rules call to prepare, train and evaluate."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from rungs.cli.shared import (
    CONTINUE,
    DATASET,
    PACK,
    RUN,
    cli,
    known_run,
    load_config,
    print_json,
    with_config,
    with_json,
)
from rungs.storage.cost_file import read_cost
from rungs.study.identity import check_prepared
from rungs.study.layout import EVALUATION, EVALUATION_COST, HISTORY, TRAINING_COST, Layout
from rungs.study.runs import PRIOR_FOLDER, Run


@cli.command(
    section="work",
    examples=("rungs prepare mnist5k", "RUNGS_RAW_DATA=/path/to/raw rungs prepare mnist"),
)
@with_config
@click.argument("dataset", type=DATASET)
def prepare(profiles: tuple[Path, ...], dataset: str) -> None:
    """Prepare DATASET into results/data/DATASET.h5."""
    from rungs.jobs.work import prepare_data

    made = prepare_data(load_config(profiles), dataset)
    counts = f"{len(made.train_images)} training and {len(made.test_images)} test images"
    shape = " x ".join(map(str, made.train_images.shape[1:]))
    classes = len(set(made.train_labels.tolist()) - {-1})
    click.echo(f"{dataset}: {counts} of {shape}, {classes or 'no'} classes")
    for note in made.provenance.get("notes", []):
        click.echo(f"{dataset}: {note}")


@cli.command(section="steps", examples=("rungs classifier mnist5k",))
@with_config
@click.argument("dataset", type=DATASET)
def classifier(profiles: tuple[Path, ...], dataset: str) -> None:
    """Train the classifier that compares samples of DATASET."""
    from rungs.evaluation.classifier import train

    config = load_config(profiles)
    path = Path(Layout.classifier(dataset))
    train(check_prepared(config, dataset), path)
    click.echo(path)


def with_minutes(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--minutes`` to a verb that trains."""
    return click.option(
        "--minutes",
        type=click.FloatRange(0, min_open=True),
        help="Save and stop with status 75 after this time; the same command continues.",
    )(function)


def trained_numbers(run: Run, folder: Path) -> dict[str, Any]:
    """The numbers of a trained run for scripts; ``criterion`` is the training ELBO or, for a model
    without, its objective."""
    from rungs.evaluation.convergence import criterion
    from rungs.storage import result_file

    stored = result_file.read(folder / HISTORY, only=["elbo", "objective"])
    name = criterion(stored)
    cost = read_cost(folder / TRAINING_COST)
    values = {"epochs": len(stored[name]), "criterion": name, "value": float(stored[name][-1])}
    return {"run": run.path, "folder": str(folder), **values, **cost}


def evaluated_numbers(run: Run, folder: Path) -> dict[str, Any]:
    """The numbers of an evaluated run for scripts: bounds in nats an image, None without a likelihood."""
    from rungs.storage import result_file

    stored = result_file.read(folder / EVALUATION, only=["test/lk", "test/elbo", "test/nested_k"])
    cost = read_cost(folder / EVALUATION_COST)
    found: dict[str, Any] = {"test_lk": None, "test_elbo": None, "k": None}
    if "test/lk" in stored.arrays:
        found = {
            "test_lk": float(stored["test/lk"].mean()),
            "test_elbo": float(stored["test/elbo"].mean()),
            "k": int(stored["test/nested_k"][-1]),
        }
    return {"run": run.path, "folder": str(folder), **found, **cost}


@contextmanager
def interruptible(minutes: float | None = None) -> Iterator[None]:
    """A run that was asked to stop, or whose time is up, ends with status 75: trying again
    continues it."""
    from rungs.jobs.signals import Interrupted, time_limit

    try:
        with time_limit(minutes):
            yield
    except Interrupted as stopped:
        click.echo(str(stopped), err=True)
        sys.exit(CONTINUE)


@cli.command(
    section="work",
    examples=(
        "rungs train mnist5k/vae-bn/depth5/seed0",
        "rungs train mnist5k/mog/latent10/seed0 --minutes 30",
        "rungs train mnist5k/vae/depth2/seed0 --config config/smoke.yaml --json",
    ),
)
@with_config
@with_minutes
@with_json
@click.argument("run", type=RUN)
def train(profiles: tuple[Path, ...], minutes: float | None, as_json: bool, run: str) -> None:
    """Train RUN (dataset/variant/depthD/seedS), or continue it.

    After Ctrl-C or SIGTERM it saves the run at the end of the epoch and exits with status 75; the
    same command continues.
    """
    config = load_config(profiles)
    parsed = known_run(config, run)
    from rungs.jobs.work import train_runs

    folder = Path(Layout(config["profile"]).run(parsed))
    with interruptible(minutes):
        train_runs(config, {parsed: folder})
    if as_json:
        print_json(trained_numbers(parsed, folder))


@cli.command(
    section="steps", examples=("rungs prior mnist5k/vq/codes16/seed0 --config config/smoke.yaml",)
)
@with_config
@click.argument("run", type=RUN)
def prior(profiles: tuple[Path, ...], run: str) -> None:
    """Train the prior over the codes of the trained RUN, or continue it."""
    config = load_config(profiles)
    parsed = known_run(config, run)
    from rungs.jobs.work import prior_run

    with interruptible():
        prior_run(config, parsed, Path(Layout(config["profile"]).run(parsed)) / PRIOR_FOLDER)


@cli.command(
    section="work",
    examples=(
        "rungs evaluate mnist5k/vae-bn/depth5/seed0",
        "rungs evaluate mnist5k/vae/depth2/seed0 --json | jq .test_lk",
    ),
)
@with_config
@with_json
@click.argument("run", type=RUN)
def evaluate(profiles: tuple[Path, ...], as_json: bool, run: str) -> None:
    """Measure the trained RUN: bounds, active units, representations."""
    config = load_config(profiles)
    parsed = known_run(config, run)
    from rungs.jobs.work import evaluate_run

    folder = Path(Layout(config["profile"]).run(parsed))
    evaluate_run(config, parsed, folder)
    found = evaluated_numbers(parsed, folder)
    if as_json:
        print_json(found)
        return
    click.echo(folder / EVALUATION)
    if found["test_lk"] is not None:
        bounds = f"L_{found['k']} {found['test_lk']:.2f}, ELBO {found['test_elbo']:.2f}"
        click.echo(f"{run}: {bounds} nats a test image")


@cli.command(
    section="steps",
    examples=("rungs likelihood --shard 0 mnist/vae/depth5/seed0 --config config/paper.yaml",),
)
@with_config
@click.option("--shard", required=True, type=click.IntRange(0), help="Number of the shard, from 0.")
@click.argument("run", type=RUN)
def likelihood(profiles: tuple[Path, ...], shard: int, run: str) -> None:
    """Estimate one shard of the likelihood of the trained RUN."""
    config = load_config(profiles)
    parsed = known_run(config, run)
    from rungs.jobs.work import likelihood_run

    likelihood_run(config, parsed, shard)
    path = Path(Layout(config["profile"]).shards(config, parsed)[shard])
    if path.exists():
        click.echo(path)


@cli.command(
    section="steps",
    examples=(
        "rungs pack train mnist5k.vae.0.0000",
        "rungs pack evaluate mnist5k.vae.0.0000 --minutes 50",
    ),
)
@with_config
@with_minutes
@click.argument("stage", type=click.Choice(["train", "prior", "evaluate"]))
@click.argument("name", type=PACK)
def pack(profiles: tuple[Path, ...], minutes: float | None, stage: str, name: str) -> None:
    """Do a STAGE (train, prior, evaluate) for every incomplete run of the pack NAME."""
    config = load_config(profiles)
    from rungs.jobs.work import work_through

    with interruptible(minutes):
        work_through(config, stage, name)


@cli.command(section="steps", examples=("rungs calibrate",))
@with_config
def calibrate(profiles: tuple[Path, ...]) -> None:
    """Estimate L_k where log p(x) is known."""
    config = load_config(profiles)
    from rungs.evaluation.calibration import calibrate as work

    path = Path(Layout(config["profile"]).calibration)
    work(config["calibration"], path)
    click.echo(path)
