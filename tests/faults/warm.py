"""Commands in copies of a process that has imported everything.

The imports take most of a small command's time. A command that is started so does the same work from its
first line on: a copy of this process (``fork``) changes to the command's folder and calls ``rungs.cli.main``.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from subprocess import TimeoutExpired
from typing import IO

#: the module that notes writes, once everything is imported
_hook: list[object] = []


def load(source: Path, hook: Path) -> None:
    """Import the package of this folder, and all that its verbs import."""
    sys.path[:0] = [str(source), str(hook)]
    names = [
        "rungs.cli",
        "rungs.jobs.train",
        "rungs.jobs.work",
        "rungs.training.side_by_side",
        "rungs.exchange.ro_crate",
        "rungs.report.explorer",
        "rungs.report.page",
        "rungs.report.scorecard",
    ]
    names += [
        "rungs.evaluation.classifier",
        "rungs.jobs.train_prior",
        "rungs.training.recorded_step",
        "rungs.data.prepared",
        "rungs.report.summary",
    ]
    names += ["rungs.evaluation.calibration", "rungs.evaluation.run", "sitecustomize"]
    for registry in ("figures.FIGURES", "tables.TABLES"):
        package, attribute = registry.split(".")
        names += [e.module for e in getattr(import_module(f"rungs.{package}"), attribute).values()]
    for entry in import_module("rungs.models").MODELS.values():
        places = (entry.location, entry.evaluator, entry.cost)
        names += [place.partition(":")[0] for place in places if place]
    for name in names:
        module = import_module(name)
        if name == "sitecustomize":
            _hook.append(module)


def loaded() -> bool:
    """Whether commands can be started so."""
    return bool(_hook)


class Forked:
    """A command in a copy of this process, with what :class:`subprocess.Popen` offers of it.

    Args:
        arguments: of ``rungs``.
        first: called before anything else, in the copy.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        output: IO[str],
        first: Callable[[], None] | None = None,
    ) -> None:
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_work(list(arguments), folder, environment, output, first))

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status.

        Raises:
            TimeoutExpired: if it takes longer than ``timeout`` seconds.
        """
        deadline = time.monotonic() + (1e9 if timeout is None else timeout)
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise TimeoutExpired("rungs", timeout or 0.0)
            time.sleep(0.01)
        return status


def _work(
    arguments: list[str],
    folder: Path,
    environment: Mapping[str, str],
    output: IO[str],
    first: Callable[[], None] | None,
) -> int:
    """What the copy does; its exit status."""
    try:
        os.setsid()
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        if first is not None:
            first()
        names = ("FAULTS_FOLDER", "FAULTS_NOTES", "FAULTS_AT")
        _hook[0].begin(*(environment[name] for name in names))  # type: ignore[attr-defined]
        sys.argv = ["rungs", *arguments]
        import_module("rungs.cli").main(arguments)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # as Python itself ends a process
        traceback.print_exc()
        status = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 120
    return status
