"""The images, settings and helpers with which a trained run is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rungs.data.prepared import read_images, read_labels
from rungs.evaluation.classifier import Classifier
from rungs.evaluation.splits import Split
from rungs.storage import result_file
from rungs.study.settings import EvaluationSettings


@dataclass(frozen=True)
class Materials:
    """Everything besides the model from which statistics are computed; images are read at first use.

    Attributes:
        data: the prepared data set.
        evaluation: the configuration's ``evaluation`` section as the run sees it.
        binary: whether the model takes binarised images.
        classifier: compares samples; None for a data set without labels.
        shards: files of :func:`rungs.evaluation.run.evaluate_shard` with the parts of the likelihood, in
            order; none where the likelihood is to be estimated at once.
        brief: whether only the arrays that claims read are wanted
            (:data:`rungs.evaluation.definitions.CLAIMED`): evaluators leave out what takes time or space
            besides, and no random number may depend on it.
        probed: arrays of the probe that do not depend on the model's weights
            (:func:`rungs.evaluation.probe.probe_arrays`), kept for the other evaluation of the run.
    """

    data: Path
    evaluation: EvaluationSettings
    binary: bool
    classifier: Classifier | None = None
    shards: Sequence[Path] = ()
    brief: bool = False
    probed: dict[str, np.ndarray] = field(default_factory=dict)

    def briefly(self) -> Materials:
        """Return these materials, with the images that have been read, for a brief evaluation."""
        found = replace(self, brief=True)
        found.__dict__.update({**self.__dict__, "brief": True})
        return found

    @cached_property
    def test(self) -> Split:
        """The test images as the model takes them."""
        return Split.read(self.data, "test", self.evaluation["images"], self.binary)

    @cached_property
    def train(self) -> Split:
        """Training images as the model takes them."""
        return Split.read(self.data, "train", self.evaluation["train_images"], self.binary)

    @property
    def classes(self) -> list[str]:
        """The names of the classes, by their labels; none where the data set has no names for them."""
        provenance = result_file.read(self.data, only=()).attributes["provenance"]
        found: list[str] = provenance.get("classes", [])
        return found

    @property
    def population(self) -> Split:
        """All training images as the model takes them; read anew where :attr:`train` is a part of them."""
        available = len(read_labels(self.data, "train"))
        if self.evaluation["train_images"] >= available:
            return self.train
        return Split.read(self.data, "train", available, self.binary)

    @cached_property
    def test_intensities(self) -> Split:
        """The test images as intensities."""
        return Split.read(self.data, "test", self.evaluation["images"], binary=False)

    @cached_property
    def train_intensities(self) -> Split:
        """The images of :attr:`train` as intensities."""
        return Split.read(self.data, "train", self.evaluation["train_images"], binary=False)

    def training_images(self) -> Tensor:
        """Read all training images as they are stored, uint8 ``[n, pixels]``."""
        return torch.from_numpy(read_images(self.data, "train")).flatten(1)

    @cached_property
    def average(self) -> np.ndarray:
        """The mean of all training images, from 0 to 1, ``[pixels]`` float32."""
        mean = self.training_images().numpy().mean(0) / 255
        return np.asarray(mean.astype(np.float32))
