"""Training the prior of a trained run's codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rungs.data.prepared import read_images, read_labels
from rungs.models.code_prior import pack_codes
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.storage.tensors import load_weights
from rungs.study.layers import Config
from rungs.training.trainer import build_model, run_key, train

CODES = "codes.h5"
#: images that are encoded at once
ROWS = 250


def prior_key(spec: Config, trained: Path, data: Path, folder: Path) -> str:
    """The key of a prior's training: see :func:`rungs.training.trainer.run_key`. Writes the codes of the
    training images, on which it rests, to ``codes.h5`` in ``folder``.

    Args:
        spec: of :func:`rungs.study.code_prior_settings.prior_spec`.
        trained: the folder of the run whose codes it is to model.
        data: the data set that this run was trained on.
    """
    prepare_process(spec["threads"])
    write_codes(trained, data, folder / CODES)
    return run_key(spec, folder / CODES)


def train_prior(
    spec: Config, folder: Path, checkpoint_minutes: float, events: bool = False
) -> None:
    """Train a prior on the codes in its ``folder``, resuming it where it was interrupted."""
    train(spec, folder / CODES, folder, checkpoint_minutes, events=events)


def write_codes(trained: Path, data: Path, target: Path) -> None:
    """Write the codes of the training images as a data set of bytes."""
    stored = result_file.read(trained / "training.h5", only=()).attributes
    model = build_model(stored["run"], stored["pixels"], "cpu")
    load_weights(model, trained / "weights.safetensors")
    model.eval()
    images = torch.from_numpy(read_images(data, "train")).flatten(1)
    packed = pack_codes(encode_all(model, images))
    arrays = {"train/images": packed.numpy(), "train/labels": read_labels(data, "train")}
    result_file.write(target, arrays, {"codes": model.code_count})


@torch.no_grad()
def encode_all(model: Any, images: Tensor) -> Tensor:
    """Codes ``[n, positions]`` of uint8 ``images [n, pixels]``, some at a time."""
    return torch.cat([model.codes(part.float() / 255) for part in images.split(ROWS)])
