"""CIFAR-10, complete (Krizhevsky 2009): 50,000 + 10,000 colour images of 32x32, 10 classes.

The binary version, six files of 10,000 records: one byte of label, then 3,072 of the image,
channel by channel. From a raw-data folder (``cifar10/cifar-10-binary.tar.gz``), else downloaded;
the archive is checked by its SHA-256.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np

from rungs.data.prepared import Prepared
from rungs.data.sources import download, read_checked
from rungs.errors import AbsentDataError, DataError, RungsError

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
#: of the archive, whose MD5 its page gives as c32a1d4ab5d03f1284b67883e8d87530
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
MAX_BYTES = 200_000_000
FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = ("test_batch.bin",)
RECORD = 1 + 3 * 32 * 32
RECORDS = 10_000
#: of the archive unpacked: six files, a list of names, a page, and their headers
MOST_UNPACKED = 6 * RECORDS * RECORD + 1_000_000


def prepare(raw: Path | None, cache: Path) -> Prepared:
    """Read the archive, from ``raw/cifar10`` if given, else by download into ``cache``."""
    if raw is None:
        path = download(URL, cache / "cifar-10-binary.tar.gz", MAX_BYTES, SHA256)
    else:
        path = raw / "cifar10" / "cifar-10-binary.tar.gz"
        if not path.is_file():
            raise AbsentDataError(
                f"data set cifar10: {path} is missing. Put CIFAR-10's binary version there, or unset "
                "raw_data and RUNGS_RAW_DATA to download it. The data set cifar10-10k needs less."
            )
    return from_archive(read_checked(path, SHA256, MAX_BYTES), path)


def from_archive(content: bytes, path: Path) -> Prepared:
    """The arrays of an archive of the binary version.

    Raises:
        DataError: if it is not one.
    """
    try:
        with gzip.open(io.BytesIO(content)) as packed:
            unpacked = packed.read(MOST_UNPACKED + 1)
        if len(unpacked) > MOST_UNPACKED:
            raise ValueError(f"it unpacks to more than {MOST_UNPACKED:,} bytes")
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
            train, test = (
                [read_records(archive, name) for name in names] for names in (TRAIN, TEST)
            )
    except RungsError:
        raise
    except Exception as error:  # whatever the libraries find in a strange file
        raise DataError(f"{path}: is not the archive of CIFAR-10 ({error}).") from error
    images, labels = (np.concatenate(part) for part in zip(*train, strict=True))
    return Prepared(
        images,
        labels,
        *test[0],
        {
            "source": "CIFAR-10 (Krizhevsky 2009)",
            "licence": "not stated; distributed for research",
            "sha256": SHA256,
        },
    )


def read_records(archive: tarfile.TarFile, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images ``[n, 32, 32, 3]`` and labels ``[n]`` of one file.

    Raises:
        DataError: if it has not the right length.
    """
    file = archive.extractfile(f"{FOLDER}/{name}")
    content = b"" if file is None else file.read(RECORD * RECORDS + 1)
    if len(content) != RECORD * RECORDS:
        raise DataError(
            f"data set cifar10: {name} has {len(content)} bytes, expected {RECORD * RECORDS}; "
            "replace the archive by a fresh copy."
        )
    records = np.frombuffer(content, dtype=np.uint8).reshape(RECORDS, RECORD)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, 0].copy()
