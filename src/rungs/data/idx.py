"""IDX files, the format of MNIST and of the data sets that follow it, packed by gzip or not."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from rungs.errors import DataError
from rungs.storage.atomic import sha256

#: the largest number of axes: images in colour
MOST_AXES = 4
REMEDY = "Replace the file by a fresh copy."


def read_header(path: Path) -> tuple[int, ...]:
    """The shape that the file promises, without reading more than its header.

    Raises:
        DataError: if it cannot be read, or is not an IDX file of unsigned bytes.
    """
    return _shape(path, _content(path, 4 + 4 * MOST_AXES))


def read_idx(path: Path, most: int, expected_sha256: str | None = None) -> np.ndarray:
    """Read an IDX file of unsigned bytes.

    Args:
        most: bytes that the file may have, unpacked.
        expected_sha256: of the decompressed content; checked if given.

    Raises:
        DataError: if the file is truncated, corrupt, altered, too large or not IDX of bytes.
    """
    content = _content(path, most + 1)
    if len(content) > most:
        raise DataError(f"{path}: is larger than any file of this kind ({most} bytes). {REMEDY}")
    if expected_sha256 is not None and sha256(content) != expected_sha256:
        raise DataError(
            f"{path}: SHA-256 of the decompressed content is {sha256(content)}, "
            f"expected {expected_sha256}: the file is truncated, altered or another one. {REMEDY}"
        )
    shape = _shape(path, content)
    header = 4 + 4 * len(shape)
    if len(content) - header != int(np.prod(shape, dtype=object)):
        raise DataError(
            f"{path}: its header promises shape {shape}, but {len(content) - header} bytes follow. {REMEDY}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape).copy()


def _content(path: Path, most: int) -> bytes:
    """The first bytes of a file, unpacked."""
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                return file.read(most)
        with path.open("rb") as plain:
            return plain.read(most)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: cannot be read, truncated or corrupt ({error}). {REMEDY}"
        ) from error


def _shape(path: Path, content: bytes) -> tuple[int, ...]:
    """The shape that the beginning of a file promises."""
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{path}: is not an IDX file of unsigned bytes. {REMEDY}")
    axes = content[3]
    sizes = content[4 : 4 + 4 * min(axes, MOST_AXES)]
    shape = tuple(int(n) for n in np.frombuffer(sizes[: len(sizes) // 4 * 4], dtype=">u4"))
    if len(shape) != axes or axes < 1:
        raise DataError(f"{path}: its header promises {axes} dimensions. {REMEDY}")
    if min(shape) < 1:
        raise DataError(f"{path}: its header promises shape {shape}. {REMEDY}")
    return shape
