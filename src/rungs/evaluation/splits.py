"""The images on which a trained run is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rungs.data.binarise import model_input
from rungs.data.prepared import read_images, read_labels
from rungs.evaluation.subsets import drawn
from rungs.numerics.seeds import TEST_SET_SEED, generator


def chosen(count: int, available: int) -> Tensor:
    """Return the indices of ``count`` images, the same for every run; all if there are not more.

    The order of a data set may not be random (the first half of MNIST's test set is the cleaner
    one), so the subset is drawn.
    """
    if count >= available:
        return torch.arange(available)
    order = torch.randperm(available, generator=generator(TEST_SET_SEED, "subset"))
    return order[:count].sort().values


@dataclass(frozen=True)
class Split:
    """Images of the training or test set, binarised once, in the same way for every run.

    Attributes:
        x: ``[n, pixels]`` of zeros and ones, or intensities from 0 to 1.
        labels: ``[n]``; -1 throughout where the data set has none.
    """

    x: Tensor
    labels: np.ndarray

    @property
    def labelled(self) -> bool:
        """Return whether the images have classes."""
        return bool((self.labels >= 0).all())

    def shown(self, count: int) -> Tensor:
        """Return up to ``count`` of the images, drawn (:func:`rungs.evaluation.subsets.drawn`)."""
        return self.x[torch.from_numpy(drawn(count, len(self.x)))]

    @classmethod
    def read(cls, data: Path, split: str, count: int, binary: bool = True) -> Split:
        """Read ``count`` images of a split, binarised or as intensities.

        Raises:
            DataError, StoreError: if the data file is damaged.
        """
        images = torch.from_numpy(read_images(data, split)).flatten(1)
        fixed = model_input(images, generator(TEST_SET_SEED, f"{split} set"), binary)
        indices = chosen(count, len(fixed))
        return cls(fixed[indices], read_labels(data, split)[indices.numpy()])
