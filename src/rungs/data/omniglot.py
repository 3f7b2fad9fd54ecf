"""OMNIGLOT as the papers used it: 28x28, 24,345 training and 8,070 test images.

The file ``chardata.mat`` of the importance weighted autoencoder's release (Burda et al. 2016),
from the raw-data folder (``omniglot/chardata.mat``) or by download, checked by its Git blob id.
It is not :mod:`rungs.data.omniglot28`, which has the same drawings but another reduction and
another split.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import scipy.io

from rungs.data.prepared import Prepared
from rungs.data.sources import download, read_checked
from rungs.errors import AbsentDataError, DataError

URL = "https://raw.githubusercontent.com/yburda/iwae/master/datasets/OMNIGLOT/chardata.mat"
BLOB = "016a3536ffe5e1d38e42563a18d7a78bfaf643ec"
MAX_BYTES = 100_000_000


def prepare(raw: Path | None, cache: Path) -> Prepared:
    """Read ``chardata.mat``, whose order is one of alphabets, and mix it; labels are the 50 alphabets."""
    if raw is None:
        path = download(URL, cache / "chardata.mat", MAX_BYTES, BLOB)
    else:
        path = raw / "omniglot" / "chardata.mat"
        if not path.is_file():
            raise AbsentDataError(
                f"data set omniglot: {path} is missing. Put the papers' file there, or unset raw_data and "
                "RUNGS_RAW_DATA to download it. The data set omniglot28 is made from the original drawings."
            )
    return from_mat(read_checked(path, BLOB, MAX_BYTES), path).shuffled()


def from_mat(content: bytes, path: Path) -> Prepared:
    """The arrays of a ``chardata.mat``: images are columns of intensities in [0, 1], stored
    column by column; targets are one-hot over alphabets.

    Raises:
        DataError: if it is not such a file.
    """
    try:
        names = ["data", "target", "testdata", "testtarget"]
        mat = scipy.io.loadmat(io.BytesIO(content), variable_names=names)
        parts = [np.asarray(mat[name]) for name in names]
        train, train_target, test, test_target = parts
        for images, target in ((train, train_target), (test, test_target)):
            if images.ndim != 2 or target.ndim != 2 or images.shape[1] != target.shape[1]:
                raise ValueError(f"{images.shape} pixels, but {target.shape} targets")
        return Prepared(
            _images(train),
            train_target.argmax(0),
            _images(test),
            test_target.argmax(0),
            {
                "source": "OMNIGLOT (Lake et al. 2015), chardata.mat of Burda et al. 2016",
                "licence": "MIT",
                "git_blob": BLOB,
            },
        )
    except Exception as error:  # whatever the library finds in a strange file
        raise DataError(f"{path}: is not the papers' chardata.mat ({error}).") from error


def _images(columns: np.ndarray) -> np.ndarray:
    images = columns.T.reshape(-1, 28, 28).transpose(0, 2, 1)
    if not (images.min() >= 0 and images.max() <= 1):
        raise ValueError("intensities outside [0, 1]")
    return np.rint(255 * images).astype(np.uint8)
