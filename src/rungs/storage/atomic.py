"""Files that are either complete or absent.

Everything that rungs writes goes under a temporary name in the folder of its
destination, is synced, and is renamed when complete: a killed job, a full disk or
a power cut leaves the old file or none, never half of one. What a killed process leaves under a
temporary name goes when the file is written the next time.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rungs.errors import RungsError
from rungs.storage.process import writer, writer_is_gone

#: of a temporary file whose writer nothing is known of, after its last change
ABANDONED_AFTER_SECONDS = 600.0
#: what keeps a file from being written and is not a mistake in the program
UNWRITABLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR),
)


FREE_SPACE = (
    "Free some disk space or mend the folder's permissions, then run the same command again; "
    "nothing that was complete has been lost."
)


def unwritable(path: Path | str, error: OSError) -> RungsError:
    """The error for a file or folder that cannot be written."""
    return RungsError(f"{path}: cannot be written ({error.strerror or error}). {FREE_SPACE}")


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` when the block ends without error.

    The temporary name keeps the suffix, because libraries choose formats by it.

    Raises:
        RungsError: if the file cannot be written (full disk, read-only folder);
            what was there before is left as it was.
    """
    path = Path(path)
    temporary = temporary_name(path)
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
        remove_abandoned(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_name(path: Path) -> Path:
    """Where this process writes what is to become ``path``."""
    return path.with_name(f".{path.stem}.{writer()}.part{path.suffix}")


def remove_abandoned(path: Path) -> None:
    """Remove temporary files of ``path``, which has just been written, whose writers were killed: of
    this place those whose process is gone, of others those that have not changed for minutes (by
    the file server's clock, which is that of ``path`` too)."""
    pattern = f".{glob.escape(path.stem)}.*.part{glob.escape(path.suffix)}"
    for found in path.parent.glob(pattern):
        name = found.name.removeprefix(f".{path.stem}.").removesuffix(f".part{path.suffix}")
        with suppress(OSError):
            age = path.stat().st_mtime - found.stat().st_mtime
            if writer_is_gone(name) or (name != writer() and age > ABANDONED_AFTER_SECONDS):
                found.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the file system allows it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write ``content`` to ``path`` whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` to ``path`` whole or not at all."""
    write_bytes(path, text.encode())


def delete(path: Path | str) -> str:
    """What a user should do with a damaged file: runs of packs are two names of one file, and the
    pack is marked as done (see :mod:`rungs.jobs.packs`)."""
    parts = Path(path).parts
    for here, there in (("runs", "work"), ("work", "runs")):
        for i, part in enumerate(parts):
            other = Path(*parts[:i], there, *parts[i + 1 :])
            if part == here and other.is_file():
                return f"Delete it and its other name {other}"
    return "Delete it"


def sha256(content: bytes) -> str:
    """The SHA-256 of ``content`` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
