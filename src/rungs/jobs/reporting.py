"""What a process that works on runs tells of itself, for people and for ``rungs progress``.

In a terminal a bar; in a log file a line a minute at most; in each run's folder, while the process
lives, a small ``progress.json``; and TensorBoard's event files where they are asked for
(:mod:`rungs.jobs.tensorboard`). None of it is part of a result, and no result rests on it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungs.storage.process import is_gone

if TYPE_CHECKING:
    from rungs.training.trainer import Trainer

PROGRESS_FILE, PART = "progress.json", ".progress.json.part"
#: a line in a log file at most so often
LINE_SECONDS = 60.0
#: progress.json is written at most so often, and less often by a process with many runs
FILE_SECONDS, FILE_SECONDS_A_RUN = 1.0, 0.05
#: it is touched so often, and believed for so long after that
HEARTBEAT_SECONDS, DEAD_AFTER_SECONDS = 20.0, 180.0


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(3725)
    '1:02:05'
    """
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


class ProgressLine:
    """A bar in a terminal; elsewhere the first line, the last, and one a minute between them."""

    def __init__(self) -> None:
        self._last = float("-inf")
        self._bar: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            columns = (
                BarColumn(20),
                TaskProgressColumn(),
                TextColumn("{task.description}", markup=False),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), auto_refresh=False)
            self._task = self._bar.add_task("")
            self._bar.start()

    def update(self, text: str, share: float) -> None:
        """Show ``text`` if it is time to, or if the ``share`` that is done is 1."""
        if self._bar is not None:
            self._bar.update(self._task, completed=100 * share, description=text, refresh=True)
            return
        now = time.monotonic()
        if share >= 1 or now - self._last >= LINE_SECONDS:
            self._last = now
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.stop()


class Beacon:
    """``progress.json`` in the folders that a process works on, until it is closed.

    It is a convenience: a file that cannot be written is not.

    Args:
        about: folder -> what is known from the beginning.
    """

    def __init__(self, about: Mapping[Path, dict[str, Any]]) -> None:
        me = {"host": socket.gethostname(), "process": os.getpid(), "started": time.time()}
        self._about = {folder: content | me for folder, content in about.items()}
        self._seconds = FILE_SECONDS + FILE_SECONDS_A_RUN * len(about)
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._write({})
        self._heart.start()

    def show(self, state: Callable[[], Mapping[Path, dict[str, Any]]]) -> None:
        """Write the present state, if it is time to."""
        if time.monotonic() - self._written >= self._seconds:
            self._write(state())

    def close(self) -> None:
        """Take the files away."""
        self._stop.set()
        self._heart.join()
        for folder in self._about:
            remove_beacon(folder)

    def _write(self, state: Mapping[Path, dict[str, Any]]) -> None:
        for folder, about in self._about.items():
            temporary = folder / PART
            with suppress(OSError):  # and no fsync: nobody misses what a power cut takes of it
                folder.mkdir(parents=True, exist_ok=True)
                text = json.dumps(about | state.get(folder, {}), indent=1)
                temporary.write_text(text + "\n", encoding="utf-8")
                temporary.replace(folder / PROGRESS_FILE)
        self._written = time.monotonic()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            for folder in self._about:
                with suppress(OSError):
                    os.utime(folder / PROGRESS_FILE)


def read_beacon(folder: Path) -> dict[str, Any] | None:
    """The ``progress.json`` of a living process in ``folder``, None if there is none: the process of a
    leftover file is gone (on this machine), or has not touched it for minutes (on another)."""
    path = folder / PROGRESS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        age = time.time() - path.stat().st_mtime
        here, process = content["host"] == socket.gethostname(), int(content["process"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    alive = age < DEAD_AFTER_SECONDS and not (here and is_gone(process))
    return dict(content) if alive else None


def has_beacon(folder: Path) -> bool:
    """Whether there is a ``progress.json`` in ``folder``, of whomever."""
    return any((folder / name).exists() for name in (PROGRESS_FILE, PART))


def remove_beacon(folder: Path) -> None:
    """Take the ``progress.json`` of a process that is done, or was killed, away."""
    for name in (PROGRESS_FILE, PART):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)


@contextmanager
def working(folder: Path, run: str, stage: str) -> Iterator[None]:
    """Say in ``folder`` that a stage of a run, one without epochs, is being worked on."""
    beacon = Beacon({folder: {"run": run, "stage": stage}})
    try:
        yield
    finally:
        beacon.close()


class Reporter:
    """All that runs in training tell, epoch by epoch.

    Args:
        group: the runs that are trained side by side, and their folders.
        describe: one line about them.
        events: whether to write TensorBoard's event files.
    """

    def __init__(
        self,
        group: Sequence[tuple[Trainer, Path]],
        describe: Callable[[], str],
        events: bool = False,
    ) -> None:
        self._group, self._describe = group, describe
        self._events = []
        if events:
            from rungs.jobs.tensorboard import Events

            self._events = [Events(trainer, folder) for trainer, folder in group]
        self._first, self._began = group[0][0].epoch, time.monotonic()
        self._line = ProgressLine()
        self._beacon = Beacon({folder: _about(trainer) for trainer, folder in group})

    def epoch_done(self) -> None:
        """Tell of the epoch that every run of the group has just finished."""
        trainer = self._group[0][0]
        self._line.update(self._describe(), trainer.epoch / trainer.settings["epochs"])
        self._beacon.show(self._state)
        for events in self._events:
            events.write_epoch()

    def close(self) -> None:
        """End the bar, take ``progress.json`` away, write out the event files."""
        self._line.close()
        self._beacon.close()
        for events in self._events:
            events.close()

    def _state(self) -> dict[Path, dict[str, Any]]:
        """What ``progress.json`` says of each run."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        return {
            folder: {
                "epoch": trainer.epoch,
                "criterion": "ELBO" if "elbo" in trainer.history.values else "objective",
                "value": trainer.history.criterion,
                "epochs_per_second": (trainer.epoch - self._first) / seconds,
                "images_per_second": trainer.images_per_second(),
            }
            for trainer, folder in self._group
        }


def _about(trainer: Trainer) -> dict[str, Any]:
    """What is known of a run before its first epoch. The prior of its codes is trained in its name."""
    run, epochs = trainer.spec["run"], trainer.settings["epochs"]
    stage = "prior" if run.endswith("/prior") else "train"
    name = run.removesuffix("/prior")
    return {"run": name, "stage": stage, "epoch": trainer.epoch, "epochs": epochs}
