"""The classifier of a data set, in whose features samples are compared.

It is a small convolutional network that is trained once for each data set, on its training images, and is
the same for every profile and model. Its last hidden layer gives the features of the Frechet distance
(:mod:`rungs.evaluation.frechet`); its probabilities say how certain it is of a picture. Distances are
comparable within a data set alone, and not with published ones, which depend on other networks.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rungs.data.prepared import read_images, read_labels
from rungs.errors import DataError, StoreError
from rungs.numerics.seeds import generator
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.storage.tensors import load_tensors, save_tensors
from rungs.study.identity import DATA

SEED = 0
#: features of the Frechet distance: few, so that a thousand images give their covariance well
FEATURES = 32
STEPS, BATCH = 1500, 128
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 1e-3
#: training images are shifted by up to so many pixels
SHIFT = 2
DROPOUT = 0.3
ROWS = 1000


class Network(nn.Module):
    """Two strided convolutions and a dense layer of :data:`FEATURES` units.

    Args:
        height, width: of an image.
        channels: 1 or 3.
        classes: number of labels.
    """

    def __init__(self, height: int, width: int, channels: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 16, 5, stride=2, padding=2)
        self.second = nn.Conv2d(16, 32, 5, stride=2, padding=2)
        self.dense = nn.Linear(32 * -(-height // 4) * -(-width // 4), FEATURES)
        self.output = nn.Linear(FEATURES, classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the last hidden layer before its rectifier, ``[n, FEATURES]``.

        Args:
            images: ``[n, channels, height, width]``, from 0 to 1.
        """
        hidden = functional.relu(self.first(2 * images - 1))
        hidden = functional.relu(self.second(hidden)).flatten(1)
        if self.training:
            hidden = hidden * self.mask[: len(hidden)]
        features: Tensor = self.dense(hidden)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``[n, classes]``."""
        logits: Tensor = self.output(functional.relu(self.features(images)))
        return logits

    def drop(self, random: torch.Generator) -> None:
        """Draw the dropout mask of the next training batch."""
        kept = torch.rand(BATCH, self.dense.in_features, generator=random) >= DROPOUT
        self.mask = kept / (1 - DROPOUT)


def as_channels(images: Tensor) -> Tensor:
    """Convert images to ``[n, channels, height, width]`` from 0 to 1.

    Args:
        images: uint8 ``[n, height, width]`` or ``[n, height, width, channels]``.
    """
    floats = images.float() / 255
    return floats.unsqueeze(1) if images.dim() == 3 else floats.permute(0, 3, 1, 2)


def train(data: Path, output: Path) -> None:
    """Train on the training images of a prepared data set, and write the weights.

    Their metadata are the shape of an image, the accuracy on the test images, on which nothing was
    chosen, and the fingerprint of the data.

    Raises:
        DataError: if the data set has no labels.
    """
    prepare_process(1)
    images, labels = (torch.from_numpy(f(data, "train")) for f in (read_images, read_labels))
    if bool((labels < 0).any()):
        raise DataError(
            f"{data}: the data set has no labels, so that there is nothing to classify; name them in "
            "datasets, or do without what is compared by a classifier."
        )
    x = as_channels(images)
    classes = int(labels.max()) + 1
    random = generator(SEED, "classifier")
    network = Network(x.shape[2], x.shape[3], x.shape[1], classes)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                nn.init.kaiming_normal_(parameter, nonlinearity="relu", generator=random)
            else:
                parameter.zero_()
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    network.train()
    for _ in range(STEPS):
        chosen = torch.randint(len(x), (BATCH,), generator=random)
        network.drop(random)
        loss = functional.cross_entropy(network(shifted(x[chosen], random)), labels[chosen])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    network.eval()
    test, test_labels = read_images(data, "test"), read_labels(data, "test")
    shape = list(images.shape[1:])
    found = Classifier(network, shape)
    flat = torch.from_numpy(test).flatten(1).float() / 255
    accuracy = float((found.probabilities(flat).argmax(1).numpy() == test_labels).mean())
    print(f"{output}: accuracy {accuracy:.4f} on {len(test)} test images", file=sys.stderr)
    metadata = {
        "shape": " ".join(map(str, shape)),
        "classes": str(classes),
        "accuracy": repr(accuracy),
        DATA: result_file.fingerprint(data),
    }
    save_tensors(output, network.state_dict(), metadata)


def shifted(images: Tensor, random: torch.Generator) -> Tensor:
    """Move the batch by one random offset of up to :data:`SHIFT` pixels, repeating its edges."""
    top, left = torch.randint(2 * SHIFT + 1, (2,), generator=random).tolist()
    height, width = images.shape[-2:]
    padded = functional.pad(images, (SHIFT,) * 4, mode="replicate")
    return padded[..., top : top + height, left : left + width]


@dataclass(frozen=True)
class Classifier:
    """A trained network and the shape of an image, ``[height, width]`` or ``[height, width, channels]``."""

    network: Network
    shape: list[int]

    @classmethod
    def read(cls, path: Path) -> Classifier:
        """Read the classifier that :func:`train` wrote.

        Raises:
            StoreError: if the file is missing or damaged.
        """
        if not path.is_file():
            dataset = path.name.removesuffix("-classifier.safetensors")
            raise StoreError(
                f"{path}: the file is missing; make it with 'rungs classifier {dataset}'."
            )
        tensors, metadata = load_tensors(path)
        try:
            shape = [int(n) for n in metadata["shape"].split()]
            channels = shape[2] if len(shape) > 2 else 1
            height, width = shape[:2]
            network = Network(height, width, channels, int(metadata["classes"]))
            network.load_state_dict(tensors)
        except (KeyError, ValueError, RuntimeError) as error:
            raise StoreError(
                f"{path}: is not a classifier of rungs ({error}); delete it and make it again."
            ) from error
        return cls(network.eval(), shape)

    def _images(self, flat: Tensor) -> Tensor:
        shaped = flat.reshape(-1, *self.shape)
        return shaped.unsqueeze(1) if len(self.shape) == 2 else shaped.permute(0, 3, 1, 2)

    @torch.no_grad()
    def features(self, flat: Tensor) -> np.ndarray:
        """Return features ``[n, FEATURES]`` of flattened images ``[n, pixels]`` from 0 to 1."""
        parts = [self.network.features(self._images(block)) for block in flat.split(ROWS)]
        return torch.cat(parts).numpy()

    @torch.no_grad()
    def probabilities(self, flat: Tensor) -> Tensor:
        """Return class probabilities ``[n, classes]`` of flattened images ``[n, pixels]`` from 0 to 1."""
        parts = [self.network(self._images(block)).softmax(1) for block in flat.split(ROWS)]
        return torch.cat(parts)
