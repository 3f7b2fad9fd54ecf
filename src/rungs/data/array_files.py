"""Files of arrays: .npz, .npy, HDF5 and IDX, read without trusting them.

Nothing is unpickled, and what a file links to or keeps in other files is left alone.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rungs.data.idx import read_header, read_idx
from rungs.errors import DataError, RungsError

#: bytes of all images: splitting them takes twice as much, and no data set may take more than 4 GB of
#: memory
MOST_BYTES = 1_000_000_000
#: reads one array of a file, or the shapes and types of all
Reader = Callable[[Path, str | None], dict[str, Any]]


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Tell in one line what a library finds in a file."""
    try:
        yield
    except RungsError:
        raise
    except Exception as error:  # whatever a library finds in a broken file
        if isinstance(error, BlockingIOError) or "already open for write" in str(error):
            raise DataError(
                f"{path}: is open for writing elsewhere, which locks it; close it there."
            ) from error
        raise DataError(
            f"{path}: cannot be read ({error}); it is damaged, or holds Python objects, which are "
            "never loaded. Save plain arrays."
        ) from error


def _read_npy(path: Path, key: str | None) -> dict[str, Any]:
    """The one array of a file, called ``array``; its shape and type where no key is given."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return {"array": (array.shape, array.dtype) if key is None else array}


def _read_npz(path: Path, key: str | None) -> dict[str, Any]:
    """An array of an archive; the shapes and types of all, from their headers, where none is named."""
    if key is not None:
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key]}
    headers: dict[str, Any] = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if not member.endswith(".npy"):
                continue
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[version]
                shape, _, dtype = read(file)
                headers[member.removesuffix(".npy")] = (shape, dtype)
    return headers


def _read_hdf5(path: Path, key: str | None) -> dict[str, Any]:
    """The same of an HDF5 file; what it links to or keeps in other files is left alone."""
    import h5py

    from rungs.storage.hdf5 import crashes

    if key is None and (reason := crashes(path)):
        raise DataError(f"{path}: cannot be read ({reason}); it is damaged. Write it again.")
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        plain = (
            isinstance(item, h5py.Dataset)
            and item.shape is not None  # a null dataspace
            and not item.external
            and not item.is_virtual
        )
        # a chunk is unpacked whole, however little of it the array covers
        if plain and math.prod(item.chunks or (0,)) * item.dtype.itemsize > MOST_BYTES:
            raise DataError(f"{path}: array {name!r} has chunks of more than {MOST_BYTES} bytes.")
        if plain and key is None:
            # HDF5's strings are objects to NumPy; each is read as bytes
            text = h5py.check_string_dtype(item.dtype) is not None
            found[name] = (item.shape, np.dtype("S") if text else item.dtype)
        elif plain and name == key:
            found[name] = item[()]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


def _read_idx_file(path: Path, key: str | None) -> dict[str, Any]:
    """The same of an IDX file."""
    if key is None:
        return {"array": (read_header(path), np.dtype(np.uint8))}
    return {"array": read_idx(path, MOST_BYTES)}


#: end of a file's name -> what reads an array, or the headers of all
READERS: dict[str, Reader] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    "-ubyte": _read_idx_file,
    ".gz": _read_idx_file,
}
#: those of files of one array
SINGLE = (_read_npy, _read_idx_file)


def reader_of(path: Path) -> Reader | None:
    """What reads a file of this name; None if nothing does."""
    name = path.name.lower()
    return next((reader for end, reader in READERS.items() if name.endswith(end)), None)
