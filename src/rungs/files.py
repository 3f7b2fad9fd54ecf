"""Files that are either complete or absent.

Everything that rungs writes goes under a temporary name in the folder of its
destination, is synced, and is renamed when complete: a killed job, a full disk or
a power cut leaves the old file or none, never half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rungs.errors import RungsError, StoreError


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` when the block ends without error.

    The temporary name keeps the suffix, because libraries choose formats by it.

    Raises:
        RungsError: if the file cannot be written (full disk, read-only folder);
            what was there before is left as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise RungsError(
            f"{path}: cannot be written ({error.strerror or error}). "
            "Free some disk space or mend the folder's permissions, then run the same command again; "
            "nothing that was complete has been lost."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the file system allows it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` to ``path`` whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object that was written beside a result, such as what it cost.

    Raises:
        StoreError: if the file is missing, damaged or something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); delete it and run again.") from error
    if not isinstance(found, dict):
        raise StoreError(f"{path}: is no JSON object; delete it and run again.")
    return found


def read_seconds(path: Path) -> float:
    """The seconds of a file of costs.

    Raises:
        StoreError: if it has none.
    """
    seconds = read_json(path).get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0:
        raise StoreError(f"{path}: does not say its seconds; delete it and run again.")
    return float(seconds)


def sha256(content: bytes) -> str:
    """The SHA-256 of ``content`` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
