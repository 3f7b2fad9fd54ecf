"""The work of the workflow's jobs: a stage of a run, or of every run of a pack.

What is complete with the same key is not done again.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rungs.errors import ConfigError, nearest
from rungs.jobs.packs import packs
from rungs.jobs.tensorboard import require_tensorboard
from rungs.storage.atomic import replacing
from rungs.storage.beacon import read_beacon, remove_beacon, working
from rungs.study.keys import run_key
from rungs.study.layers import Config
from rungs.study.layout import STAGES, Layout
from rungs.study.runs import PRIOR_FOLDER, Run
from rungs.study.settings import code_prior_settings, resolve

if TYPE_CHECKING:
    from rungs.jobs.train import TrainingJob


def work_through(config: Config, stage: str, name: str) -> None:
    """Do a stage of every run of a pack that is not complete.

    Raises:
        ConfigError: if there is no such pack.
    """
    found = packs(config)
    if name not in found:
        raise ConfigError(f"pack {name!r} is not known{nearest(name, found)}")
    layout = Layout(config["profile"])
    if stage == "train":
        train_runs(config, {run: Path(layout.work(run)) for run in found[name]})
        return
    for run in found[name]:
        if stage == "evaluate":
            evaluate_run(config, run, Path(layout.work(run)))
        elif code_prior_settings(config, run) is not None:
            prior_run(config, run, Path(layout.work(run)) / PRIOR_FOLDER)


def train_runs(config: Config, folders: Mapping[Run, Path]) -> None:
    """Train runs of one data set, each into its folder, unless it is there complete with the same key.

    Up to ``compute.ensemble`` runs that share an architecture are trained side by side.
    """
    from rungs.jobs.train import is_trained, tidy, train_together
    from rungs.training.side_by_side import ensemble_key

    waiting: dict[str, list[TrainingJob]] = {}
    for run, folder in folders.items():
        job, key = _training_job(config, run, folder)
        if is_trained(folder, key):
            tidy(folder, key)
            print(f"{run.path}: is trained", file=sys.stderr)
        else:
            waiting.setdefault(ensemble_key(job.settings), []).append(job)
    compute = config["compute"]
    events = _wants_events(config)
    for jobs in waiting.values():
        data = Path(Layout.data(jobs[0].settings["dataset"]))
        for start in range(0, len(jobs), compute["ensemble"]):
            together = jobs[start : start + compute["ensemble"]]
            train_together(together, data, compute["checkpoint_minutes"], events=events)


def _wants_events(config: Config) -> bool:
    """Return whether TensorBoard's event files are to be written.

    Raises:
        RungsError: if they are, and the package is not there.
    """
    wanted = bool(config["compute"]["tensorboard"])
    if wanted:
        require_tensorboard()
    return wanted


def _training_job(config: Config, run: Run, folder: Path) -> tuple[TrainingJob, str]:
    """The training of a run and its key. What a workflow without packs has finished is copied."""
    from rungs.jobs.train import TrainingJob, is_trained

    settings, layout = resolve(config, run), Layout(config["profile"])
    weights, data = layout.start(config, run), Path(layout.data(run.dataset))
    start = None if weights is None else Path(weights)
    key = run_key(settings, data, start)
    exported = Path(layout.run(run))
    if not is_trained(folder, key) and is_trained(exported, key):
        _adopt(exported, folder, STAGES["train"])
    return TrainingJob(settings, folder, start), key


def prior_run(config: Config, run: Run, folder: Path) -> None:
    """Train the prior of a trained run's codes into ``folder``, unless it is there complete with the same
    key.

    Raises:
        ConfigError: if the configuration wants none.
    """
    from rungs.jobs.train import is_trained, tidy
    from rungs.jobs.train_prior import prior_key, train_prior

    settings, layout = code_prior_settings(config, run), Layout(config["profile"])
    if settings is None:
        raise ConfigError(
            f"{run.path}: has no learnt prior; see prior.learnt of the configuration."
        )
    trained, data = Path(layout.run(run)), Path(layout.data(run.dataset))
    exported, key = trained / PRIOR_FOLDER, prior_key(settings, trained, data, folder)
    if not is_trained(folder, key) and is_trained(exported, key):
        _adopt(exported, folder, STAGES["prior"])
    if is_trained(folder, key):
        tidy(folder, key)
        print(f"{settings['run']}: is trained", file=sys.stderr)
        return
    minutes = config["compute"]["checkpoint_minutes"]
    train_prior(settings, folder, minutes, events=_wants_events(config))


def evaluate_run(config: Config, run: Run, folder: Path) -> None:
    """Evaluate a trained run into ``folder``, unless that is there complete with the same key."""
    from rungs.evaluation.run import Inputs, evaluate, is_evaluated

    inputs = Inputs.of(config, run)
    key = inputs.key()
    if not is_evaluated(folder, key) and is_evaluated(inputs.folder, key):
        _adopt(inputs.folder, folder, STAGES["evaluate"])
    if is_evaluated(folder, key):
        if read_beacon(folder) is None:  # of a process that was killed when it was done
            remove_beacon(folder)
        print(f"{run.path}: is evaluated", file=sys.stderr)
        return
    with working(folder, run.path, "evaluate"):
        evaluate(inputs, folder)


def _adopt(exported: Path, folder: Path, names: tuple[str, ...]) -> None:
    """Copy the files that a workflow without packs has finished earlier."""
    for name in names:
        with replacing(folder / name) as temporary:
            shutil.copyfile(exported / name, temporary)
