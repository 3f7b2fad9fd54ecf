"""Training of runs as a job does it: runs are resumed, saved when a signal asks to stop, and written to
their files when they are complete."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import torch

from rungs.data.prepared import read_images
from rungs.errors import RungsError, StoreError, TrainingError
from rungs.jobs import checkpoints
from rungs.jobs.failures import FailedRunError
from rungs.jobs.reporting import Reporter
from rungs.jobs.signals import Interrupted, noted_signals
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.storage.beacon import has_beacon, remove_beacon
from rungs.storage.cost_file import write_cost
from rungs.storage.locks import locked
from rungs.storage.tensors import save_tensors
from rungs.study import provenance
from rungs.study.identity import DATA, START
from rungs.study.keys import run_key
from rungs.study.layout import HISTORY, SCHEDULED, TRAINING_COST, WEIGHTS
from rungs.study.settings import RunSettings
from rungs.training.loop import train_epochs
from rungs.training.schedules import total_epochs
from rungs.training.trainer import Trainer


@dataclass(frozen=True)
class TrainingJob:
    """A run to train.

    Attributes:
        settings: its resolved settings.
        folder: the folder of its files.
        start: the weights of the run that it continues, if it continues one.
        began: the key of that run, or of the run whose codes it models.
    """

    settings: RunSettings
    folder: Path
    start: Path | None = None
    began: str | None = None


@dataclass(frozen=True)
class Member:
    """A run of a group that is trained side by side: its trainer, folder and key, and what it was made
    from (:mod:`rungs.study.identity`)."""

    trainer: Trainer
    folder: Path
    key: str
    origin: Mapping[str, str]

    @property
    def name(self) -> str:
        """The run's path."""
        return str(self.trainer.settings["run"])


def is_trained(folder: Path, key: str) -> bool:
    """Return whether ``folder`` holds the complete run with this :func:`rungs.study.keys.run_key`."""
    try:
        trained = result_file.read(folder / HISTORY, only=())
    except StoreError:
        return False
    complete = (folder / WEIGHTS).is_file() and (folder / TRAINING_COST).is_file()
    return complete and trained.attributes.get("key") == key


def train(
    settings: RunSettings,
    data: Path,
    folder: Path,
    checkpoint_minutes: float,
    start: Path | None = None,
    events: bool = False,
    began: str | None = None,
) -> None:
    """Train one run: :func:`train_together` of a single :class:`TrainingJob`."""
    job = TrainingJob(settings, folder, start, began)
    train_together([job], data, checkpoint_minutes, events)


def train_together(
    jobs: Sequence[TrainingJob], data: Path, checkpoint_minutes: float, events: bool = False
) -> None:
    """Train runs of one architecture side by side; a run that has a checkpoint continues from it.

    Writes ``weights.safetensors``, ``training.h5`` and ``training-cost.json`` into every folder.
    The signals of :data:`rungs.jobs.signals.STOPPING` save the runs at the end of the epoch.

    Args:
        events: whether to write TensorBoard's event files too.

    Raises:
        Interrupted: if a signal stopped it; running it again continues.
        FailedRunError: if the loss of a run is not finite; the others continue from their checkpoints.
    """
    prepare_process(jobs[0].settings["threads"])
    with ExitStack() as locks:
        for job in jobs:
            locks.enter_context(locked(job.folder))
        images = torch.from_numpy(read_images(data, "train")).flatten(1)
        content = result_file.fingerprint(data)
        waiting: dict[int, list[Member]] = {}
        for job in jobs:
            key = run_key(job.settings, data, job.start)
            trainer = Trainer(job.settings, images, job.settings["device"], job.start)
            checkpoints.resume(trainer, job.folder, key)
            origin = {DATA: content} | ({} if job.began is None else {START: job.began})
            member = Member(trainer, job.folder, key, origin)
            waiting.setdefault(trainer.epoch, []).append(member)
        for group in waiting.values():
            _train_group(group, checkpoint_minutes, events)
            for member in group:
                _finish(member)


def _train_group(group: Sequence[Member], minutes: float, events: bool) -> None:
    """Train the epochs that are left, saving every few minutes and when asked to stop."""
    trainers = [member.trainer for member in group]
    report = Reporter([(member.trainer, member.folder) for member in group], events)
    saved = time.monotonic()
    try:
        with noted_signals() as asked:

            def after_epoch() -> None:
                nonlocal saved
                report.epoch_done()
                if asked or time.monotonic() - saved > 60 * minutes:
                    for member in group:
                        checkpoints.save(member.trainer, member.folder, member.key)
                    saved = time.monotonic()
                if asked:
                    names = ", ".join(member.name for member in group)
                    first = trainers[0]
                    raise Interrupted(
                        f"{names}: stopped by {asked[0].name} after epoch "
                        f"{first.epoch}/{total_epochs(first.recipe)}; the same command continues it."
                    )

            train_epochs(trainers, after_epoch)
    except TrainingError as error:
        lost = [m for m in group if m.trainer.epoch and not isfinite(m.trainer.history.criterion)]
        for member in lost[:1]:
            checkpoints.remove(member.folder, member.key)
            raise FailedRunError(error, member.folder, member.key) from error
        raise
    finally:
        report.close()


def _finish(member: Member) -> None:
    """Write the files of a trained run, the history last: it makes the run complete."""
    trainer, folder = member.trainer, member.folder
    trainer.finish()
    settings = trainer.settings
    metadata = {"run": json.dumps(settings, sort_keys=True)}
    save_tensors(folder / WEIGHTS, trainer.model.state_dict(), metadata)
    images = trainer.epoch * trainer.batches * trainer.batch_size
    write_cost(folder / TRAINING_COST, trainer.seconds, images, settings)
    attributes = {
        "run": settings,
        "key": member.key,
        "arithmetic": trainer.arithmetic,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "pixels": trainer.images.shape[1],
        "provenance": provenance.describe(),
        **member.origin,
    }
    arrays = trainer.history.arrays(trainer.latent_sizes)
    arrays |= {f"{SCHEDULED}{name}": w.cpu().numpy() for name, w in trainer.scheduled.items()}
    result_file.write(folder / HISTORY, arrays, attributes)
    checkpoints.remove(folder, member.key)


def tidy(folder: Path, key: str) -> None:
    """Remove what a process left in the folder of the complete run of a key when it was killed: its
    checkpoint, its lock, its beacon. Nothing is done while a living process holds the lock."""
    if not (checkpoints.find(folder, key) or any(folder.glob(".*")) or has_beacon(folder)):
        return
    with suppress(RungsError, OSError), locked(folder, patient=False):
        checkpoints.remove(folder, key)
        remove_beacon(folder)
