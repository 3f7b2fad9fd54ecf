"""Progress of runs in training, for people and for ``rungs progress``.

In a terminal or a notebook a bar; in a log file one line a minute at most; in each run's folder, while
the process lives, a small ``progress.json`` (:mod:`rungs.storage.beacon`); and TensorBoard's event files
where they are asked for (:mod:`rungs.jobs.tensorboard`). No result rests on any of it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungs.evaluation.definitions import ACTIVE_KL
from rungs.storage.beacon import Beacon
from rungs.study.runs import PRIOR_FOLDER
from rungs.training.schedules import total_epochs

if TYPE_CHECKING:
    from rungs.training.trainer import Trainer

#: a line in a log file at most so often, and a change below a notebook's cell
LINE_SECONDS, CELL_SECONDS = 60.0, 0.2


def duration(seconds: float) -> str:
    """Format a duration as hours, minutes and seconds.

    >>> duration(3725)
    '1:02:05'
    """
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _in_notebook() -> bool:
    """Return whether a kernel of Jupyter runs this process; IPython is there then."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


@dataclass(frozen=True)
class _CellBar:
    """A bar as a notebook shows it, and as a line of text for what shows no HTML."""

    text: str
    share: float

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f'<progress value="{self.share:.3f}"></progress> <code>{escape(self.text)}</code>'


class ProgressLine:
    """A bar in a terminal or below a notebook's cell; elsewhere the first line, the last, and one a minute
    between them."""

    def __init__(self) -> None:
        self._last = float("-inf")
        self._bar: Any = None
        self._cell: Any = None
        if _in_notebook():
            from IPython.display import display

            self._cell = display(_CellBar("", 0), display_id=True)
        elif sys.stderr.isatty():
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
        if share >= 1 or now - self._last >= (CELL_SECONDS if self._cell else LINE_SECONDS):
            self._last = now
            if self._cell:
                self._cell.update(_CellBar(text, share))
            else:
                print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.stop()


class Reporter:
    """The report of runs in training, epoch by epoch.

    Args:
        group: the runs that are trained side by side, and their folders.
        events: whether to write TensorBoard's event files.
    """

    def __init__(self, group: Sequence[tuple[Trainer, Path]], events: bool = False) -> None:
        self._group = group
        self._events = []
        if events:
            from rungs.jobs.tensorboard import Events

            self._events = [Events(trainer, folder) for trainer, folder in group]
        self._first, self._began = group[0][0].epoch, time.monotonic()
        self._line = ProgressLine()
        self._beacon = Beacon({folder: _about(trainer) for trainer, folder in group})

    def epoch_done(self) -> None:
        """Report the epoch that every run of the group has just finished."""
        trainer = self._group[0][0]
        if trainer.unrecorded is not None and trainer.epoch == self._first + 1:
            name = trainer.settings["run"]
            print(f"{name}: steps are not recorded ({trainer.unrecorded})", file=sys.stderr)
        self._line.update(self._described(), trainer.epoch / total_epochs(trainer.recipe))
        self._beacon.show(self._state)
        for events in self._events:
            events.write_epoch()

    def _described(self) -> str:
        first = describe(self._group[0][0])
        several = len(self._group) > 1
        return f"{len(self._group)} runs side by side, first {first}" if several else first

    def close(self) -> None:
        """End the bar, remove ``progress.json``, write out the event files."""
        self._line.close()
        self._beacon.close()
        for events in self._events:
            events.close()

    def _state(self) -> dict[Path, dict[str, Any]]:
        """The changing part of each run's beacon."""
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


def describe(trainer: Trainer) -> str:
    """The progress line of a run in training."""
    total, kl = total_epochs(trainer.recipe), trainer.history.last("units/kl")
    units = ""
    if kl is not None:
        parts = kl.split(trainer.latent_sizes)
        active = "+".join(str(int((part > ACTIVE_KL).sum())) for part in parts)
        units = f"  KL {float(kl.sum()):.2f}  active {active}"
    name = "ELBO" if "elbo" in trainer.history.values else "objective"
    left = trainer.seconds / trainer.epoch * (total - trainer.epoch)
    return (
        f"{trainer.settings['run']}  epoch {trainer.epoch}/{total}  {name} {trainer.history.criterion:.2f}"
        f"{units}  {trainer.images_per_second():,.0f} images/s  {duration(left)} left"
    )


def _about(trainer: Trainer) -> dict[str, Any]:
    """The constant part of a run's beacon. The prior of a run's codes is trained in the run's name."""
    run, epochs = trainer.settings["run"], total_epochs(trainer.recipe)
    name = run.removesuffix(f"/{PRIOR_FOLDER}")
    stage = "train" if name == run else "prior"
    return {"run": name, "stage": stage, "epoch": trainer.epoch, "epochs": epochs}
