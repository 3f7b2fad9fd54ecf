"""A prepared data set: arrays in memory, and its one HDF5 file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rungs.errors import DataError
from rungs.storage import result_file

#: of the order of images that come in an order of their own
ORDER_SEED = 2016


def mixed(rows: np.ndarray) -> np.ndarray:
    """The rows in a random order, the same at every call.

    Whatever reads prepared data may take its order for random: statistics are collected in batches of
    it, pictures show its beginning, and users take the first few.
    """
    return np.random.default_rng(ORDER_SEED).permutation(rows)


@dataclass(frozen=True, repr=False)
class Prepared:
    """Images uint8 ``[n, *shape]`` and labels ``[n]`` of both splits, in random order, and where they
    come from."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        """Return a line: how many images of which shape, and how many classes."""
        shape = "x".join(map(str, self.train_images.shape[1:]))
        classes = len(np.unique(self.train_labels[self.train_labels >= 0]))
        counts = f"{len(self.train_images):,} training and {len(self.test_images):,} test images"
        return f"<Prepared {counts} of {shape}, {classes or 'no'} classes>"

    def check(self, name: str, shape: tuple[int, ...], train: int, test: int) -> None:
        """Raise a DataError unless types, shapes and counts are as the registry says."""
        for split, images, labels, count in (
            ("train", self.train_images, self.train_labels, train),
            ("test", self.test_images, self.test_labels, test),
        ):
            if images.dtype != np.uint8 or images.shape != (count, *shape):
                raise DataError(
                    f"data set {name}, {split} images: expected uint8 of shape {(count, *shape)}, "
                    f"found {images.dtype} of shape {images.shape}; the source is not the right file."
                )
            if labels.shape != (count,):
                raise DataError(
                    f"data set {name}, {split} labels: expected shape {(count,)}, "
                    f"found {labels.shape}; the source is not the right file."
                )

    def shuffled(self) -> Prepared:
        """The same images in a random order, for a source that stores them by class, writer or time."""
        train, test = (mixed(np.arange(len(n))) for n in (self.train_labels, self.test_labels))
        return Prepared(
            self.train_images[train],
            self.train_labels[train],
            self.test_images[test],
            self.test_labels[test],
            self.provenance,
        )

    def write(self, path: Path | str, source: list[str] | None = None) -> None:
        """Write the HDF5 file that every run reads.

        Args:
            source: hashes of what it was made from (:func:`rungs.study.identity.data_source`).
        """
        arrays = {
            "train/images": self.train_images,
            "train/labels": self.train_labels.astype(np.int64),
            "test/images": self.test_images,
            "test/labels": self.test_labels.astype(np.int64),
        }
        origin = {} if source is None else {"source": source}
        result_file.write(path, arrays, {"provenance": self.provenance} | origin)


def read_labels(path: Path | str, split: str) -> np.ndarray:
    """The labels of one split, int64 ``[n]``."""
    return result_file.read(path, only=[f"{split}/labels"])[f"{split}/labels"]


def read_images(path: Path | str, split: str) -> np.ndarray:
    """The images of one split, uint8 ``[n, *shape]``.

    Raises:
        StoreError: if the file is missing or damaged.
    """
    images = result_file.read(path, only=[f"{split}/images"])[f"{split}/images"]
    if images.dtype != np.uint8:
        raise DataError(f"{path}: expected uint8 images, found {images.dtype}; prepare it again.")
    return images
