"""The registry of data sets. A further data set is one module and one line here.

``prepare`` of each entry returns :class:`rungs.data.prepared.Prepared`; the modules are
imported when they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rungs.data.prepared import Prepared


@dataclass(frozen=True)
class Entry:
    """A data set: the module whose ``prepare`` makes it, what it is, and the files that it is made
    from in a raw-data folder, none where it is embedded."""

    module: str
    title: str
    shape: tuple[int, ...]
    train: int
    test: int
    raw: tuple[str, ...] = ()


DATASETS = {
    "mnist5k": Entry("rungs.data.mnist5k", "5,000 MNIST digits, embedded", (28, 28), 4000, 1000),
    "omniglot": Entry(
        "rungs.data.omniglot",
        "OMNIGLOT, the papers' file",
        (28, 28),
        24345,
        8070,
        raw=("omniglot/chardata.mat",),
    ),
    "omniglot28": Entry(
        "rungs.data.omniglot28",
        "OMNIGLOT, reduced from the originals",
        (28, 28),
        24345,
        8115,
        raw=("omniglot/images_background.npz", "omniglot/images_evaluation.npz"),
    ),
    "mnist": Entry(
        "rungs.data.mnist",
        "MNIST, complete",
        (28, 28),
        60000,
        10000,
        raw=(
            "mnist/train-images-idx3-ubyte.gz",
            "mnist/train-labels-idx1-ubyte.gz",
            "mnist/t10k-images-idx3-ubyte.gz",
            "mnist/t10k-labels-idx1-ubyte.gz",
        ),
    ),
    "cifar10": Entry(
        "rungs.data.cifar10",
        "CIFAR-10, complete",
        (32, 32, 3),
        50000,
        10000,
        raw=("cifar10/cifar-10-binary.tar.gz",),
    ),
    "cifar10-10k": Entry(
        "rungs.data.cifar10_10k",
        "CIFAR-10, a subset of 10,000",
        (32, 32, 3),
        10000,
        1000,
        raw=("cifar10/train_first_10k.npz", "cifar10/test_first_1k.npz"),
    ),
}


def prepare(name: str, raw: Path | None, cache: Path) -> Prepared:
    """Make the arrays of a data set and check them against its entry.

    Args:
        name: a key of :data:`DATASETS`.
        raw: the user's folder of raw data files, or None to download.
        cache: where downloads go.

    Raises:
        ConfigError: if there is no such data set.
        DataError: if a source is missing, corrupt or of the wrong shape.
    """
    from rungs.config import nearest
    from rungs.errors import ConfigError

    if name not in DATASETS:
        raise ConfigError(f"data set {name!r} is not known{nearest(name, DATASETS)}")
    entry = DATASETS[name]
    prepared: Prepared = import_module(entry.module).prepare(raw, cache)
    prepared.check(name, entry.shape, entry.train, entry.test)
    return prepared
