"""The HDF5 layout of results: the only module that knows it.

A file holds named arrays (``layers/1/kl``) and one JSON document of attributes. Each array,
the attributes, the arrays' names and the file as a whole (:mod:`rungs.storage.hdf5`) carry their SHA-256,
checked at every read, so that a flipped byte is named and refused instead of plotted. Files hold no
times: the same work gives the same bytes.

==================  =============================================================================
file                arrays
==================  =============================================================================
data                ``train/images, train/labels, test/images, test/labels``; images uint8
                    ``[n, height, width]``
training            ``elbo, reconstruction, kl_weight, learning_rate`` ``[epochs]``;
                    ``layers/<i>/kl, layers/<i>/mean_variance`` ``[epochs, units]``;
                    ``scheduled/<name>``, float32, the weights at the end of the schedule by
                    their names in the model's state dict, if a continuation followed
evaluation          ``test/lk, test/elbo, test/labels`` ``[images]``; ``test/ess`` of the images that
                    took all samples, ``test/lk_error`` ``[]`` if others took fewer; ``test/nested_k``
                    ``[ks]`` and ``test/nested_lk`` ``[ks, images]``; ``train/elbo``
                    ``[train images]``; ``layers/<i>/kl, layers/<i>/active_variance`` ``[units]``,
                    ``layers/<i>/image_kl, layers/<i>/sample`` ``[images, units]``,
                    ``layers/<i>/knn_correct`` ``[images]``; ``pictures/samples,
                    pictures/originals, pictures/reconstructions`` uint8 ``[pictures, pixels]``;
                    ``before/<name>``, the arrays that claims read, measured on the weights at
                    the end of the schedule
calibration         ``exact``, ``lk`` ``[images]``; ``nested_k`` ``[ks]``; ``nested_lk``
                    ``[ks, images]`` for each proposal
==================  =============================================================================
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rungs.errors import StoreError, nearest
from rungs.storage import hdf5
from rungs.storage.atomic import delete, write_bytes
from rungs.storage.formats import RESULT_FILE, check_version

#: bytes of an array above which it is compressed, and in a file that shall be small
LARGE_BYTES, COMPACT_BYTES = 65536, 1024
#: what the arrays of a file that are read together may take
MOST_BYTES = 2**31


class Attributes(dict[str, Any]):
    """The JSON of a results file; a key that it lacks is told with the file's name."""

    def __init__(self, path: Path, pairs: Iterable[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.path = path

    def __missing__(self, key: str) -> Any:
        raise StoreError(_damaged(self.path, f"its attributes lack {key!r}"))


@dataclass(frozen=True, repr=False)
class Stored:
    """The content of a results file."""

    path: Path
    arrays: dict[str, np.ndarray]
    attributes: dict[str, Any]

    def __repr__(self) -> str:
        """Return a line: the file, and how much is in it."""
        return f"<{type(self).__name__} {self.path}: {len(self.arrays)} arrays>"

    def __getitem__(self, name: str) -> np.ndarray:
        """The array of this name; a StoreError names the file, and the nearest name, if it has none."""
        if name not in self.arrays:
            raise StoreError(f"{self.path}: has no array {name!r}{nearest(name, self.arrays)}")
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        """The names of the arrays."""
        return iter(self.arrays)

    def layers(self, name: str) -> list[np.ndarray]:
        """``layers/1/<name>``, ``layers/2/<name>``, ... as far as there are any."""
        found: list[np.ndarray] = []
        while (key := f"layers/{len(found) + 1}/{name}") in self.arrays:
            found.append(self.arrays[key])
        return found


def write(
    path: Path | str,
    arrays: Mapping[str, Any],
    attributes: Mapping[str, Any],
    small: bool = False,
) -> None:
    """Write arrays and attributes, whole or not at all.

    The file is made in memory, for HDF5 can crash the process when the disk is full.

    Args:
        arrays: name -> array; names may contain ``/`` for groups.
        attributes: anything that JSON can hold.
        small: compress small arrays too, as far as it goes, and in the form of HDF5 1.10, whose arrays of one
            chunk need no index: for files that are kept in a repository.
    """
    form = ("v110", "v110") if small else None
    least, level = (COMPACT_BYTES, 9) if small else (LARGE_BYTES, 4)
    with h5py.File(
        "memory", "w", driver="core", backing_store=False, userblock_size=hdf5.BLOCK, libver=form
    ) as file:
        for name in sorted(arrays):
            array = np.asarray(arrays[name])
            packed = {"compression": "gzip", "compression_opts": level, "shuffle": True}
            dataset = file.create_dataset(
                name, data=array, **(packed if array.nbytes > least else {})
            )
            dataset.attrs["sha256"] = _array_hash(array)
        text = json.dumps(attributes, sort_keys=True)
        file.attrs["attributes"] = text
        file.attrs["attributes_sha256"] = hashlib.sha256(text.encode()).hexdigest()
        file.attrs["names_sha256"] = _names_hash(arrays)
        file.flush()
        content = file.id.get_file_image()
    write_bytes(path, hdf5.signed(content))


def read(path: Path | str, only: Iterable[str] | None = None) -> Stored:
    """Read a file, checking every array that is read against its hash.

    Args:
        only: names, or prefixes ending in ``/``, of the arrays to read; all by default.

    Raises:
        StoreError: if the file is missing, not HDF5, truncated or altered.
    """
    path = Path(path)
    wanted = None if only is None else tuple(only)
    if not path.is_file():
        raise StoreError(
            f"{path}: the file is missing; make it with 'snakemake --cores all {path}' and the same "
            "configuration."
        )
    arrays: dict[str, np.ndarray] = {}
    left = MOST_BYTES
    _check_bytes(path)
    with _opened(path) as file:
        names = _names(file)
        for name in names:
            if wanted is not None and not any(
                name == w or (w.endswith("/") and name.startswith(w)) for w in wanted
            ):
                continue
            item = file[name]
            left -= _check_plain(path, name, item, left)
            array = item[()]
            if _array_hash(np.asarray(array)) != item.attrs["sha256"]:
                raise StoreError(_damaged(path, f"array {name!r} differs from its checksum"))
            arrays[name] = array
        # an array whose name is damaged would be taken for one that the run does not have; the
        # file in resources/ is older than this check
        if _names_hash(names) != file.attrs.get("names_sha256", _names_hash(names)):
            raise StoreError(_damaged(path, "the names of its arrays differ from their checksum"))
        text = str(file.attrs["attributes"])
        if hashlib.sha256(text.encode()).hexdigest() != file.attrs["attributes_sha256"]:
            raise StoreError(_damaged(path, "its attributes differ from their checksum"))
        attributes = json.loads(text, object_pairs_hook=lambda p: Attributes(path, p))
        if not isinstance(attributes, Attributes):
            raise StoreError(_damaged(path, "its attributes are no mapping"))
    return Stored(path, arrays, attributes)


def check_arrays(path: Path) -> None:
    """Refuse a file of someone else's whose arrays lie in other files or that no memory holds, before
    one is read.

    Raises:
        StoreError: naming the file.
    """
    left = MOST_BYTES
    with _opened(path) as file:
        for name in _names(file):
            left -= _check_plain(path, name, file[name], left)


def _names(file: h5py.File) -> list[str]:
    """The names of all arrays, in order. None is opened: a reader often wants one of seventy."""
    found: list[str] = []

    def visit(name: bytes, about: Any) -> None:
        if about.type == h5py.h5o.TYPE_DATASET:
            found.append(name.decode())

    h5py.h5o.visit(file.id, visit, info=True)
    return found


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """The file, open to read; whatever the library finds in a broken one is told in one line."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(_damaged(path, str(error) or type(error).__name__)) from error


def _check_bytes(path: Path) -> None:
    """The whole file, before libhdf5 sees it."""
    try:
        version = hdf5.version(path)
        reason = hdf5.problem(path)
    except OSError as error:
        raise StoreError(_damaged(path, error.strerror or str(error))) from error
    if version is not None:
        check_version(path, version, RESULT_FILE)
    if reason is not None:
        raise StoreError(_damaged(path, reason))


def _check_plain(path: Path, name: str, item: h5py.Dataset, left: int) -> int:
    """The bytes of an array that is a plain one and fits into ``left`` bytes. A chunk is unpacked
    whole, however little of it the array covers."""
    if item.shape is None or item.external or item.is_virtual or item.dtype.hasobject:
        raise StoreError(_damaged(path, f"array {name!r} is not a plain one"))
    size = math.prod(item.shape) * item.dtype.itemsize
    chunk = math.prod(item.chunks or (0,)) * item.dtype.itemsize
    if max(size, chunk) > left:
        raise StoreError(_damaged(path, f"its arrays have more than {MOST_BYTES:,} bytes"))
    return int(size)


def fingerprint(path: Path | str) -> str:
    """A hash of a file's content from the checksums of its arrays, which are not unpacked.

    Raises:
        StoreError: if the file is missing or damaged.
    """
    path = Path(path)
    _check_bytes(path)
    with _opened(path) as file:
        found = {name: str(file[name].attrs["sha256"]) for name in _names(file)}
    text = json.dumps(found, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _names_hash(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def _array_hash(array: np.ndarray) -> str:
    found = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    if array.size:
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _damaged(path: Path, reason: str) -> str:
    if hdf5.is_written(path):
        return f"{path}: is open for writing elsewhere, which changes its bytes; close it there."
    return (
        f"{path}: the file is damaged or not written by rungs ({reason}). "
        f"{delete(path)} and run the same command again: it will be made anew."
    )
