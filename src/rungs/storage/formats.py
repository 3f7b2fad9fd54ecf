"""The versions of stored formats.

The code that stores is in no key (:mod:`rungs.study.keys`), so every file carries the version of its
format. Raise a number here when files of the version before can no longer be read as they are.
"""

from __future__ import annotations

from pathlib import Path

from rungs.errors import StoreError
from rungs.storage.atomic import delete

#: HDF5 files of arrays and attributes (:mod:`rungs.storage.result_file`)
RESULT_FILE = 1
#: safetensors with checksum and metadata (:mod:`rungs.storage.tensors`)
TENSORS = 1


def check_version(path: Path, found: object, expected: int) -> None:
    """Refuse a file of another version than the one that is read here.

    Args:
        found: the version that the file names.

    Raises:
        StoreError: if it is not ``expected``.
    """
    if found != expected:
        raise StoreError(
            f"{path}: has version {str(found)[:20]} of its format, and this version of rungs reads "
            f"{expected}. {delete(path)} and run the same command again, or read it with the version "
            "of rungs that wrote it."
        )
