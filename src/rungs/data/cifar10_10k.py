"""A subset of CIFAR-10: the first 10,000 training and the first 1,000 test images.

From a raw-data folder that has ``cifar10/train_first_10k.npz`` and ``test_first_1k.npz`` (``images``
uint8 ``[n, 32, 32, 3]``, ``labels``), checked by SHA-256, else cut from the complete data set.
Numbers on it are not comparable with those on CIFAR-10.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from rungs.data import cifar10
from rungs.data.prepared import Prepared
from rungs.data.sources import read_checked
from rungs.errors import DataError

FILES = {
    "train_first_10k.npz": "f11b3e9bc3050edcf43f5db5e44f7e0a977dc70aac69f3fbb7575cc5482baff9",
    "test_first_1k.npz": "0efa42c4fcc164a85bd5c38642d67fe99d07b5d4575466e4fd75e0990793fedc",
}
TRAIN, TEST = 10_000, 1_000
MAX_BYTES = 100_000_000


def prepare(raw: Path | None, cache: Path) -> Prepared:
    """Read the two files, or cut the subset from the complete data set."""
    folder = None if raw is None else raw / "cifar10"
    if folder is None or not all((folder / name).is_file() for name in FILES):
        whole = cifar10.prepare(raw, cache)
        return Prepared(
            whole.train_images[:TRAIN],
            whole.train_labels[:TRAIN],
            whole.test_images[:TEST],
            whole.test_labels[:TEST],
            whole.provenance | {"subset": f"first {TRAIN} and {TEST}"},
        )
    train, test = (read(folder / name, expected) for name, expected in FILES.items())
    provenance = {
        "source": f"CIFAR-10 (Krizhevsky 2009), first {TRAIN} training and {TEST} test images",
        "licence": "not stated; distributed for research",
        "sha256": FILES,
    }
    return Prepared(*train, *test, provenance)


def read(path: Path, expected: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one checked file.

    Raises:
        DataError: if it is not the expected file.
    """
    content = read_checked(path, expected, MAX_BYTES)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return arrays["images"], arrays["labels"]
    except (KeyError, ValueError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: has no images and labels ({error}).") from error
