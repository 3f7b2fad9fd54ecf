"""The work of the workflow's jobs: a stage of a run, or of every run of a pack.

What is complete with the same key is not done again.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rungs.errors import ConfigError, StoreError, nearest
from rungs.jobs import failures
from rungs.jobs.failures import Companions, FailedBeforeError, FailedRunError
from rungs.jobs.packs import packs
from rungs.jobs.tensorboard import require_tensorboard
from rungs.storage import result_file
from rungs.storage.atomic import replacing
from rungs.storage.beacon import read_beacon, remove_beacon, working
from rungs.study import identity
from rungs.study.keys import run_key
from rungs.study.layers import Config
from rungs.study.layout import HISTORY, STAGES, WEIGHTS, Layout
from rungs.study.runs import PRIOR_FOLDER, Run, parent_of
from rungs.study.settings import code_prior_settings, resolve

if TYPE_CHECKING:
    from rungs.jobs.train import TrainingJob


def work_through(config: Config, stage: str, name: str) -> None:
    """Do a stage of every run of a pack that is not complete. A run that fails leaves a record, and does
    not keep its companions from being done (:mod:`rungs.jobs.failures`).

    Raises:
        ConfigError: if there is no such pack.
    """
    found = packs(config)
    if name not in found:
        raise ConfigError(f"pack {name!r} is not known{nearest(name, found)}")
    layout, companions = Layout(config["profile"]), Companions(stage)
    folders = {run: Path(layout.working(stage, run)) for run in found[name]}
    if stage == "train":
        train_runs(config, folders, companions)
    for run, folder in folders.items():
        if stage == "evaluate":
            with companions.apart(run.path, folder):
                trained = _trained(layout, run, ("train", "prior"))
                evaluate_run(config, run, folder, trained)
        elif stage == "prior" and code_prior_settings(config, run) is not None:
            with companions.apart(run.path, folder):
                prior_run(config, run, folder, _trained(layout, run, ("train",)))
    companions.finish()


def _trained(layout: Layout, run: Run, stages: tuple[str, ...]) -> Path:
    """The folder of a trained run for the job of a pack, which waits for no exports: the working folder
    or, where somebody has deleted that, the folder of the exported files.

    Args:
        stages: that must not have failed.

    Raises:
        FailedBeforeError: if one has.
    """
    for stage in stages:
        told = failures.recorded(Path(layout.working(stage, run)), stage)
        if told is not None:
            raise FailedBeforeError(told)
    work = Path(layout.work(run))
    return work if (work / HISTORY).is_file() else Path(layout.run(run))


@dataclass(frozen=True)
class _Training:
    """A run that is to be trained, and its key (:func:`rungs.study.keys.run_key`)."""

    run: Run
    job: TrainingJob
    key: str


def train_runs(
    config: Config, folders: Mapping[Run, Path], companions: Companions | None = None
) -> None:
    """Train runs of one data set, each into its folder, unless it is there complete with the same key.

    Up to ``compute.ensemble`` runs that share an architecture are trained side by side.

    Args:
        companions: of a pack, whose runs may fail one by one; without them a failure is raised.
    """
    from rungs.jobs.train import is_trained, tidy
    from rungs.training.side_by_side import ensemble_key

    packed = companions is not None
    companions = companions or Companions("train", alone=True)
    waiting: dict[str, list[_Training]] = {}
    for run, folder in folders.items():
        try:
            training = _training(config, run, folder, packed)
            if is_trained(folder, training.key):
                tidy(folder, training.key)
                print(f"{run.path}: is trained", file=sys.stderr)
                companions.succeeded(folder)
                continue
            failures.refuse_again(folder, "train", training.key)
            waiting.setdefault(ensemble_key(training.job.settings), []).append(training)
        except Exception as error:
            companions.failed(run.path, folder, error)
    size = config["compute"]["ensemble"]
    for group in waiting.values():
        for start in range(0, len(group), size):
            _train_together(config, group[start : start + size], companions)


def _train_together(config: Config, group: Sequence[_Training], companions: Companions) -> None:
    """Train runs side by side; when one fails, the others without it."""
    from rungs.jobs.train import is_trained, train_together

    data = Path(Layout.data(group[0].run.dataset))
    minutes, events = config["compute"]["checkpoint_minutes"], _wants_events(config)
    left = list(group)
    while left:
        try:
            train_together([training.job for training in left], data, minutes, events=events)
        except Exception as error:
            left = [t for t in left if not is_trained(t.job.folder, t.key)]
            lost = [
                t for t in left if isinstance(error, FailedRunError) and t.key == error.key
            ] or left
            for training in lost:
                companions.failed(training.run.path, training.job.folder, error)
            left = [training for training in left if training not in lost]
        else:
            break
    for training in group:
        if is_trained(training.job.folder, training.key):
            companions.succeeded(training.job.folder)


def _wants_events(config: Config) -> bool:
    """Return whether TensorBoard's event files are to be written.

    Raises:
        RungsError: if they are, and the package is not there.
    """
    wanted = bool(config["compute"]["tensorboard"])
    if wanted:
        require_tensorboard()
    return wanted


def _training(config: Config, run: Run, folder: Path, packed: bool) -> _Training:
    """The training of a run. What a workflow without packs has finished is copied.

    Raises:
        StoreError: if the run continues another that is not trained.
    """
    from rungs.jobs.train import TrainingJob, is_trained

    settings, layout = resolve(config, run), Layout(config["profile"])
    start, data = _start(config, run, packed), identity.check_prepared(config, run.dataset)
    began = None if start is None else _key(start.parent)
    key = run_key(settings, data, start)
    exported = Path(layout.run(run))
    if not is_trained(folder, key) and is_trained(exported, key):
        _adopt(exported, folder, STAGES["train"])
    return _Training(run, TrainingJob(settings, folder, start, began), key)


def _key(folder: Path) -> str:
    """The key of a trained run."""
    key: str = result_file.read(folder / HISTORY, only=()).attributes["key"]
    return key


def _start(config: Config, run: Run, packed: bool) -> Path | None:
    """The weights from which a run starts, if it continues another."""
    parent, layout = parent_of(config, run), Layout(config["profile"])
    if parent is None:
        return None
    folder = _trained(layout, parent, ("train",)) if packed else Path(layout.run(parent))
    if not (folder / WEIGHTS).is_file():
        raise StoreError(
            f"{folder / WEIGHTS}: is missing, and {run.path} starts from these weights; "
            f"run: rungs train {parent.path}"
        )
    identity.check_trained(config, parent, folder)
    return folder / WEIGHTS


def prior_run(config: Config, run: Run, folder: Path, trained: Path | None = None) -> None:
    """Train the prior of a trained run's codes into ``folder``, unless it is there complete with the same
    key.

    Args:
        trained: the folder of the trained run; by default that of its exported files.

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
    exported = Path(layout.run(run))
    trained, data = trained or exported, identity.check_prepared(config, run.dataset)
    identity.check_trained(config, run, trained)
    key = prior_key(settings, trained, data, folder)
    exported /= PRIOR_FOLDER
    if not is_trained(folder, key) and is_trained(exported, key):
        _adopt(exported, folder, STAGES["prior"])
    if is_trained(folder, key):
        tidy(folder, key)
        print(f"{settings['run']}: is trained", file=sys.stderr)
        return
    failures.refuse_again(folder, "prior", key)
    minutes = config["compute"]["checkpoint_minutes"]
    train_prior(settings, trained, folder, minutes, events=_wants_events(config))


def evaluate_run(config: Config, run: Run, folder: Path, trained: Path | None = None) -> None:
    """Evaluate a trained run into ``folder``, unless that is there complete with the same key.

    Args:
        trained: the folder of the trained run; by default that of its exported files.
    """
    from rungs.evaluation.run import Inputs, evaluate, is_evaluated

    check_inputs(config, run, trained)
    inputs, exported = Inputs.of(config, run, trained), Path(Layout(config["profile"]).run(run))
    key = inputs.key()
    if not is_evaluated(folder, key) and is_evaluated(exported, key):
        _adopt(exported, folder, STAGES["evaluate"])
    if is_evaluated(folder, key):
        if read_beacon(folder) is None:  # of a process that was killed when it was done
            remove_beacon(folder)
        print(f"{run.path}: is evaluated", file=sys.stderr)
        return
    with working(folder, run.path, "evaluate"):
        evaluate(inputs, folder)


def check_inputs(config: Config, run: Run, trained: Path | None = None) -> None:
    """Check that all from which a run is evaluated is what the configuration asks for.

    Args:
        trained: the folder of the trained run; by default that of its exported files.

    Raises:
        DataError, StoreError: naming the first file that is not, and the command that makes it.
    """
    folder = trained or Path(Layout(config["profile"]).run(run))
    identity.check_prepared(config, run.dataset)
    identity.check_trained(config, run, folder)
    identity.check_prior(config, run, folder)
    identity.check_classifier(config, run)


def _adopt(exported: Path, folder: Path, names: tuple[str, ...]) -> None:
    """Copy the files that a workflow without packs has finished earlier."""
    for name in names:
        with replacing(folder / name) as temporary:
            shutil.copyfile(exported / name, temporary)
