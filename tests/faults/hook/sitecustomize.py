"""What every Python process of a case loads: it notes what is written and synced, and can end itself
at a chosen write.

Python imports a module of this name when it starts, so that the real commands run, unchanged.

==================  ================================================================================
variable            meaning
==================  ================================================================================
``FAULTS_FOLDER``   only what lies below this folder counts
``FAULTS_NOTES``    the file that notes go to, one a line: ``sync inode mtime``, ``folder path``,
                    ``rename old new``, ``point number what``, fields separated by tabs
``FAULTS_AT``       the number of the write before which the process ends itself, from 1
==================  ================================================================================

A *point* is a moment just before something that changes the folder: a file is opened to be written,
synced, renamed, linked or removed. Libraries that write by themselves (HDF5, safetensors) open no
file that Python sees; their files are seen when they are synced.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from typing import Any

FOLDER, NOTES, AT = "", "", 0
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
#: audit event -> which of its arguments are paths
CHANGES = {"os.rename": (0, 1), "os.link": (1,), "os.remove": (0,), "os.rmdir": (0,)}
_points = 0


def _inside(path: Any) -> str | None:
    """The path as text, if it lies in the folder."""
    if not isinstance(path, str | bytes | os.PathLike):
        return None
    found = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - links are not followed
    return found if found.startswith(FOLDER + os.sep) else None


def _note(*fields: object) -> None:
    descriptor = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, ("\t".join(map(str, fields)) + "\n").encode())
    finally:
        os.close(descriptor)


def _point(what: str) -> None:
    """Count a point; end here if it is the chosen one."""
    global _points
    _points += 1
    _note("point", _points, what)
    if _points == AT:
        os.kill(os.getpid(), signal.SIGKILL)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & WRITING and (found := _inside(path)):
            _point(f"open {found}")
    elif event in CHANGES:
        paths = [_inside(arguments[i]) for i in CHANGES[event]]
        if all(paths):
            _point(f"{event} {paths[-1]}")
            if event == "os.rename":
                _note("rename", *paths)


def _fsync(descriptor: Any) -> None:
    number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
    path = _inside(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115
    if path:
        _point(f"sync {path}")
    _real_fsync(number)
    if path:
        found = os.fstat(number)
        if stat.S_ISDIR(found.st_mode):
            _note("folder", path)
        else:
            _note("sync", found.st_ino, found.st_mtime_ns)


_real_fsync = os.fsync


def begin(folder: str, notes: str, at: str) -> None:
    """Note from now on, as the variables say."""
    global FOLDER, NOTES, AT
    FOLDER, NOTES, AT = folder, notes, int(at)
    os.fsync = _fsync  # type: ignore[assignment]
    sys.addaudithook(_audit)


if os.environ.get("FAULTS_NOTES"):
    begin(*(os.environ[name] for name in ("FAULTS_FOLDER", "FAULTS_NOTES", "FAULTS_AT")))
