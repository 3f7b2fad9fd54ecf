"""The work of the workflow's jobs: a stage of a run, or of every run of a pack.

What is complete with the same key is not done again. Snakemake deletes the outputs of a job before it
starts, although only the time of an input may have changed. So a finished stage lies twice, in the run's
folder and in its working folder, as links where the file system has them, and is copied from one to the
other where it is missing.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rungs import data
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
from rungs.study.layout import HISTORY, STAGES, WEIGHTS, Layout, failure_name
from rungs.study.profile import raw_data
from rungs.study.runs import Run, parent_of
from rungs.study.settings import code_prior_settings, resolve

if TYPE_CHECKING:
    from rungs.data.prepared import Prepared
    from rungs.jobs.train import TrainingJob


def prepare_data(config: Config, dataset: str) -> Prepared:
    """Prepare a data set into its file.

    Raises:
        ConfigError, DataError: if there is no such data set, or its source cannot be used.
    """
    cache = Path(Layout.data("cache")).with_suffix("")
    made = data.prepare(dataset, raw_data(config), cache, config)
    made.write(Layout.data(dataset), identity.data_source(config, dataset))
    return made


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
                _keep(config, "train", run, folder)
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
            _keep(config, "train", training.run, training.job.folder)


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
    """The training of a run. What is finished in the other folder is copied.

    Raises:
        StoreError: if the run continues another that is not trained.
    """
    from rungs.jobs.train import TrainingJob, is_trained

    settings = resolve(config, run)
    start, data = _start(config, run, packed), identity.check_prepared(config, run.dataset)
    began = None if start is None else _key(start.parent)
    key = run_key(settings, data, start)
    other = _twin(config, "train", run, folder)
    if not is_trained(folder, key) and is_trained(other, key):
        _adopt(other, folder, STAGES["train"])
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
    other = _twin(config, "prior", run, folder)
    if not is_trained(folder, key) and is_trained(other, key):
        _adopt(other, folder, STAGES["prior"])
    if is_trained(folder, key):
        tidy(folder, key)
        print(f"{settings['run']}: is trained", file=sys.stderr)
        _keep(config, "prior", run, folder)
        return
    failures.refuse_again(folder, "prior", key)
    minutes = config["compute"]["checkpoint_minutes"]
    train_prior(settings, trained, folder, minutes, events=_wants_events(config))
    _keep(config, "prior", run, folder)


def evaluate_run(config: Config, run: Run, folder: Path, trained: Path | None = None) -> None:
    """Evaluate a trained run into ``folder``, unless that is there complete with the same key.

    Args:
        trained: the folder of the trained run; by default that of its exported files.
    """
    from rungs.evaluation.run import Inputs, evaluate, is_evaluated

    check_inputs(config, run, trained)
    inputs = Inputs.of(config, run, trained)
    key, other = inputs.key(), _twin(config, "evaluate", run, folder)
    if not is_evaluated(folder, key) and is_evaluated(other, key):
        _adopt(other, folder, STAGES["evaluate"])
    if is_evaluated(folder, key):
        if read_beacon(folder) is None:  # of a process that was killed when it was done
            remove_beacon(folder)
        print(f"{run.path}: is evaluated", file=sys.stderr)
    else:
        with working(folder, run.path, "evaluate"):
            evaluate(inputs, folder)
    _keep(config, "evaluate", run, folder)


def likelihood_run(config: Config, run: Run, shard: int) -> None:
    """Estimate a part of the likelihood of a trained run, unless it is there complete with the same key.

    With packs a failure is told, and not raised: the evaluation of the pack, which waits for the parts of
    all its runs, estimates the whole likelihood of this one, and records whether that fails.

    Args:
        shard: number of the part.

    Raises:
        ConfigError: if there is no such part.
        MemoryError: if the memory was too small, of which a job that is tried again gets more.
    """
    layout = Layout(config["profile"])
    paths = list(map(Path, layout.shards(config, run)))
    if shard >= len(paths):
        raise ConfigError(f"--shard {shard}: the likelihood of {run.path} has {len(paths)} shards.")
    try:
        _estimate_part(config, run, shard, paths)
    except MemoryError:
        raise
    except Exception as error:  # as of the other stages of a pack
        if config["compute"]["pack"] == 1:
            raise
        failures.tell(run.path, error)


def _estimate_part(config: Config, run: Run, shard: int, paths: Sequence[Path]) -> None:
    from rungs.evaluation.run import Inputs, evaluate_shard, is_shard

    layout = Layout(config["profile"])
    packed = config["compute"]["pack"] > 1
    trained = _trained(layout, run, ("train",)) if packed else Path(layout.run(run))
    identity.check_prepared(config, run.dataset)
    identity.check_trained(config, run, trained)
    inputs = Inputs.of(config, run, trained)
    if is_shard(paths[shard], inputs.shard_key()):
        print(f"{run.path}: part {shard} of its likelihood is estimated", file=sys.stderr)
        return
    evaluate_shard(inputs, (shard, len(paths)), paths[shard])


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


def _twin(config: Config, stage: str, run: Run, folder: Path) -> Path:
    """The other folder in which a finished stage of a run lies."""
    layout = Layout(config["profile"])
    work, exported = Path(layout.working(stage, run)), Path(layout.stage(stage, run.path))
    return exported if folder == work else work


def _adopt(other: Path, folder: Path, names: tuple[str, ...]) -> None:
    """Copy finished files; their time is that of the copy, as Snakemake wants it."""
    for name in names:
        with replacing(folder / name) as temporary:
            shutil.copyfile(other / name, temporary)


def _keep(config: Config, stage: str, run: Run, folder: Path) -> None:
    """Let the finished files in a run's folder lie in its working folder too, out of Snakemake's reach. Those
    of a pack are exported by a job of their own."""
    layout = Layout(config["profile"])
    if folder != Path(layout.stage(stage, run.path)):
        return
    work = Path(layout.working(stage, run))
    for name in STAGES[stage]:
        if (work / name).exists() and (work / name).samefile(folder / name):
            continue
        with replacing(work / name) as temporary:
            try:
                os.link(folder / name, temporary)
            except OSError:  # no links on this file system
                shutil.copyfile(folder / name, temporary)
    (work / failure_name(stage)).unlink(missing_ok=True)
