"""Beacons: the small ``progress.json`` that a process leaves in each folder it works on, while it lives.

``rungs progress`` reads them. They are a convenience: no result rests on them, and one that cannot be
written is left out.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rungs.storage.process import Heartbeat, identity, is_alive

PROGRESS_FILE, PART = "progress.json", ".progress.json.part"
#: keys of every beacon
REQUIRED = {"host", "process", "began", "stage"}
#: the file is written at most so often, and less often by a process with many runs
FILE_SECONDS, FILE_SECONDS_A_RUN = 1.0, 0.05


class Beacon:
    """``progress.json`` in the folders that a process works on, until it is closed.

    Args:
        about: folder -> what is known from the beginning.
    """

    def __init__(self, about: Mapping[Path, dict[str, Any]]) -> None:
        me = identity() | {"began": time.time()}
        self._about = {folder: content | me for folder, content in about.items()}
        self._seconds = FILE_SECONDS + FILE_SECONDS_A_RUN * len(about)
        self._write({})
        self._heart = Heartbeat(self._touch)

    def show(self, state: Callable[[], Mapping[Path, dict[str, Any]]]) -> None:
        """Write the present state, unless the last was written just now."""
        if time.monotonic() - self._written >= self._seconds:
            self._write(state())

    def close(self) -> None:
        """Remove the files."""
        self._heart.stop()
        for folder in self._about:
            remove_beacon(folder)

    def _write(self, state: Mapping[Path, dict[str, Any]]) -> None:
        for folder, about in self._about.items():
            temporary = folder / PART
            with suppress(OSError):  # not synced: nobody misses what a power cut takes of it
                folder.mkdir(parents=True, exist_ok=True)
                text = json.dumps(about | state.get(folder, {}), indent=1)
                temporary.write_text(text + "\n", encoding="utf-8")
                temporary.replace(folder / PROGRESS_FILE)
        self._written = time.monotonic()

    def _touch(self) -> None:
        for folder in self._about:
            with suppress(OSError):
                os.utime(folder / PROGRESS_FILE)


def read_beacon(folder: Path) -> dict[str, Any] | None:
    """The beacon of a living process in ``folder``, None if there is none."""
    path = folder / PROGRESS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not content.keys() >= REQUIRED:
        return None
    alive = is_alive(content, lambda: time.time() - path.stat().st_mtime)
    return content if alive else None


def has_beacon(folder: Path) -> bool:
    """Return whether ``folder`` has a beacon, of a living process or not."""
    return any((folder / name).exists() for name in (PROGRESS_FILE, PART))


def remove_beacon(folder: Path) -> None:
    """Remove the beacon of a process that is done, or was killed."""
    for name in (PROGRESS_FILE, PART):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)


@contextmanager
def working(folder: Path, run: str, stage: str) -> Iterator[None]:
    """Keep a beacon in ``folder`` while a stage of a run is worked on that has no epochs."""
    beacon = Beacon({folder: {"run": run, "stage": stage}})
    try:
        yield
    finally:
        beacon.close()
