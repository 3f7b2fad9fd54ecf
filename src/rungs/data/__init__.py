"""The data sets: how each is prepared, checked and binarised.

This module is their registry: a further data set is one module and one line here; one's own images
need neither (:mod:`rungs.data.own`). ``prepare`` of each entry returns
:class:`rungs.data.prepared.Prepared`; the modules are imported when they are asked for. The room may
import storage, probability and numerics; models and every room above may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungs.errors import ConfigError, nearest

if TYPE_CHECKING:
    from rungs.data.prepared import Prepared


@dataclass(frozen=True)
class DatasetEntry:
    """A data set: the module whose ``prepare`` makes it, what it is, and the files that it is made
    from in a raw-data folder, none where it is embedded."""

    module: str
    title: str
    shape: tuple[int, ...]
    train: int
    test: int
    raw: tuple[str, ...] = ()
    #: whether images have classes; without, there is no classifier, and no figure of classes
    labelled: bool = True


DATASETS = {
    "mnist5k": DatasetEntry(
        "rungs.data.mnist5k", "5,000 MNIST digits, embedded", (28, 28), 4000, 1000
    ),
    "omniglot": DatasetEntry(
        "rungs.data.omniglot",
        "OMNIGLOT, the papers' file",
        (28, 28),
        24345,
        8070,
        raw=("omniglot/chardata.mat",),
    ),
    "omniglot28": DatasetEntry(
        "rungs.data.omniglot28",
        "OMNIGLOT, reduced from the originals",
        (28, 28),
        24345,
        8115,
        raw=("omniglot/images_background.npz", "omniglot/images_evaluation.npz"),
    ),
    "mnist": DatasetEntry(
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
    "cifar10": DatasetEntry(
        "rungs.data.cifar10",
        "CIFAR-10, complete",
        (32, 32, 3),
        50000,
        10000,
        raw=("cifar10/cifar-10-binary.tar.gz",),
    ),
    "cifar10-10k": DatasetEntry(
        "rungs.data.cifar10_10k",
        "CIFAR-10, a subset of 10,000",
        (32, 32, 3),
        10000,
        1000,
        raw=("cifar10/train_first_10k.npz", "cifar10/test_first_1k.npz"),
    ),
}


def own_data(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The configuration's entries of one's own data: those that name images."""
    entries = config.get("datasets", {})
    return {name: settings for name, settings in entries.items() if "images" in settings}


def catalogue(config: Mapping[str, Any]) -> dict[str, DatasetEntry]:
    """Every data set that a configuration can use: those of :data:`DATASETS` and one's own."""
    found = dict(DATASETS)
    for name, settings in own_data(config).items():
        known = settings.get("found")
        if known is None:
            from rungs.data.own import find

            known = find(name, settings)
        shape = tuple(known["shape"])
        title = f"own data, {settings['images']}"
        counts = known["train"], known["test"]
        found[name] = DatasetEntry(
            "rungs.data.own", title, shape, *counts, labelled=known["labelled"]
        )
    return found


def dataset_names(config: Mapping[str, Any]) -> list[str]:
    """The names of every data set that a configuration can use; sources are not looked at."""
    return [*DATASETS, *own_data(config)]


def check_dataset(name: str, config: Mapping[str, Any]) -> None:
    """Check the name of a data set.

    Raises:
        ConfigError: if a configuration has no such data set; it suggests the nearest.
    """
    known = dataset_names(config)
    if name not in known:
        raise ConfigError(
            f"data set {name!r} is not known{nearest(name, known)} Images of your own are named by a profile "
            "(docs/own-data.md)."
        )


def shape_of(run: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape of an image of the data set of a run, given by its resolved settings: that of a
    built-in set is in the registry, a run of one's own data carries it."""
    return tuple(run["shape"]) if "shape" in run else DATASETS[run["dataset"]].shape


def prepare(
    name: str, raw: Path | None, cache: Path, config: Mapping[str, Any] | None = None
) -> Prepared:
    """Make the arrays of a data set and check them against its entry.

    Args:
        name: a key of :func:`catalogue`.
        raw: the user's folder of raw data files, or None to download.
        cache: where downloads go.
        config: the configuration, for one's own data.

    Raises:
        ConfigError: if there is no such data set.
        DataError: if a source is missing, corrupt or of the wrong shape.
    """
    own = own_data(config or {})
    check_dataset(name, config or {})
    prepared: Prepared
    if name in own:
        from rungs.data import own as own_module

        entry = catalogue({"datasets": {name: own[name]}})[name]
        prepared = own_module.prepare(name, own[name])
    else:
        entry = DATASETS[name]
        prepared = import_module(entry.module).prepare(raw, cache)
    prepared.check(name, entry.shape, entry.train, entry.test)
    return prepared
