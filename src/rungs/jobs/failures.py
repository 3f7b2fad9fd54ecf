"""Failures of single runs in a pack, which must not be those of its companions.

When a job of Snakemake fails, nothing of it counts as done. So the job of a pack succeeds although a run
of it has failed, and leaves a record in the run's working folder, which the job that exports the run tells
and fails by. The first line of a record is what is told. The second names the key with which the run would
fail again in the same way, so that it is not tried again with it, or says that there is none.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rungs.errors import RungsError, TrainingError
from rungs.storage.atomic import write_text
from rungs.study.layout import STAGES, failure_name

#: what the second line begins with; the rule of the exports looks for the second of these
KEY, AGAIN = "key: ", "key: none"


class FailedRunError(TrainingError):
    """The failure of one run that was trained, perhaps of several: with the same key it fails again.

    Attributes:
        folder: of the run.
        key: of the run.
    """

    def __init__(self, message: object, folder: Path, key: str) -> None:
        super().__init__(message)
        self.folder, self.key = folder, key


class FailedBeforeError(RungsError):
    """A stage of a run is not done because it has failed with the same key, or an earlier stage has."""


class Companions:
    """What becomes of the runs of a pack's job, each of which may fail alone.

    Args:
        stage: of the job.
        alone: whether there is one run only, whose failure is that of the job.
    """

    def __init__(self, stage: str, alone: bool = False) -> None:
        self.stage, self._alone = stage, alone
        self._done = 0
        self._errors: list[Exception] = []

    @contextmanager
    def apart(self, run: str, folder: Path) -> Iterator[None]:
        """Do the stage of a run, or record its failure in its working folder."""
        try:
            yield
        except Exception as error:  # whatever a single run may do, the others are not to suffer
            self.failed(run, folder, error)
        else:
            self.succeeded(folder)

    def succeeded(self, folder: Path) -> None:
        """Note that the stage of a run is complete."""
        (folder / failure_name(self.stage)).unlink(missing_ok=True)
        self._done += 1

    def failed(self, run: str, folder: Path, error: Exception) -> None:
        """Tell that the stage of a run has failed, and record it.

        Its files in the folder are of other settings, or of another process that holds the lock. They
        go only if the run itself has failed: it may be tried again by deleting the record, and no older
        files must be taken for it then.
        """
        if self._alone:
            raise error
        known = isinstance(error, FailedBeforeError)
        if known and recorded(folder, self.stage) is not None:
            print(error, file=sys.stderr, flush=True)
            return
        told = _told(error)
        path, again = folder / failure_name(self.stage), AGAIN
        told = (told if run in told else f"{run}: {told}").removesuffix(".") + "."
        if isinstance(error, FailedRunError):
            again = KEY + error.key
            for name in STAGES[self.stage]:
                (folder / name).unlink(missing_ok=True)
            told += f" With these settings it is not tried again unless you delete {path}."
        elif not known:
            self._errors.append(error)
            told += " The same command tries it again."
        told = str(RungsError(told))
        write_text(path, f"{told}\n{again}\n")
        print(told, file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Raise the first error that is no single run's: if no run could be done, or if the memory was
        too small, of which a job that is tried again gets more."""
        short = [error for error in self._errors if isinstance(error, MemoryError)]
        if short or (self._errors and not self._done):
            raise (short or self._errors)[0]


def tell(run: str, error: Exception) -> None:
    """Tell of a failure that another stage of the run meets again, and records."""
    told = _told(error)
    print(told if run in told else f"{run}: {told}", file=sys.stderr, flush=True)


def _told(error: Exception) -> str:
    """The message of an error; that of a fault of ours comes after its traceback."""
    if isinstance(error, RungsError):
        return str(error)
    traceback.print_exception(error)
    return f"{type(error).__name__}: {error}"


def recorded(folder: Path, stage: str, key: str | None = None) -> str | None:
    """What the record of a stage's failure tells; None if there is none, or if it is not of ``key``."""
    try:
        lines = (folder / failure_name(stage)).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    if len(lines) != 2 or (key is not None and lines[1] != KEY + key):
        return None
    return lines[0]


def refuse_again(folder: Path, stage: str, key: str) -> None:
    """Refuse what has failed with the same key.

    Raises:
        FailedBeforeError: telling the failure.
    """
    if (told := recorded(folder, stage, key)) is not None:
        raise FailedBeforeError(told)
