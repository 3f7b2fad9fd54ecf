"""The content of files as a fingerprint, by which one's own data are known.

A copy, a clone or a touch gives files other times and the same content. So content alone decides; and
lest every start of the workflow read all images, the fingerprint of files that have not been written
since is remembered.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rungs.errors import DataError, RungsError
from rungs.storage.atomic import write_text

#: the fingerprints that are remembered of one data set: of its splits, and of what it was before
REMEMBERED = 10
#: a file that was written so recently may be written again without a change of its times
SETTLED_SECONDS = 2.0
#: a file's name in its source, and its path
Named = tuple[str, Path]


def fingerprint(files: Sequence[Named], memory: Path | None = None) -> str:
    """Hash the names and the bytes of files, in this order.

    Args:
        memory: a JSON file of fingerprints found earlier, which need not exist. It is kept only where
            its folder exists.

    Raises:
        DataError: if a file cannot be read.
    """
    stamps, newest = _stamps(files)
    known = {} if memory is None else _recalled(memory)
    if stamps in known:
        return known[stamps]
    digest = hashlib.sha256()
    for name, path in files:
        digest.update(f"{json.dumps(name)} {_hash(path)}\n".encode())
    found = digest.hexdigest()
    if memory is not None and memory.parent.is_dir() and newest < time.time() - SETTLED_SECONDS:
        latest = dict([*known.items(), (stamps, found)][-REMEMBERED:])
        with suppress(RungsError):  # only time is lost
            write_text(memory, json.dumps(latest, indent=1) + "\n")
    return found


def _stamps(files: Sequence[Named]) -> tuple[str, float]:
    """A hash of what changes whenever a file is written or replaced, and the latest of their times. A
    program may set a file's time of modification, but not that of its last change."""
    digest, newest = hashlib.sha256(), 0.0
    for name, path in files:
        try:
            status = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from error
        newest = max(newest, status.st_mtime, status.st_ctime)
        times = (status.st_mtime_ns, status.st_ctime_ns)
        stamp = [name, str(path.absolute()), status.st_ino, status.st_size, *times]
        digest.update(json.dumps(stamp).encode())
    return digest.hexdigest(), newest


def _recalled(memory: Path) -> dict[str, str]:
    """What was found earlier; nothing if the file is missing or damaged."""
    try:
        found = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(stamps): str(content) for stamps, content in found.items()}


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path}: cannot be read ({error.strerror}); mend its permissions, or remove it."
    )
