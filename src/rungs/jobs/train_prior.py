"""Training of the prior of a trained run's codes, as a job does it."""

from __future__ import annotations

from pathlib import Path

import torch

from rungs.data.prepared import read_images, read_labels
from rungs.jobs.train import train
from rungs.models.build_model import build_model
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.storage.tensors import load_weights
from rungs.study.keys import run_key
from rungs.study.layout import HISTORY, WEIGHTS
from rungs.study.settings import RunSettings
from rungs.training.code_prior import training_codes

CODES = "codes.h5"


def prior_key(settings: RunSettings, trained: Path, data: Path, folder: Path) -> str:
    """Write the codes on which a prior's training rests to ``codes.h5`` in ``folder``; return the key of the
    training (:func:`rungs.study.keys.run_key`).

    Args:
        settings: of :func:`rungs.study.settings.code_prior_settings`.
        trained: the folder of the run whose codes the prior models.
        data: the data set that this run was trained on.
    """
    prepare_process(settings["threads"])
    write_codes(trained, data, folder / CODES)
    return run_key(settings, folder / CODES)


def train_prior(
    settings: RunSettings,
    trained: Path,
    folder: Path,
    checkpoint_minutes: float,
    events: bool = False,
) -> None:
    """Train a prior on the codes in its ``folder``, resuming it where it was interrupted.

    Args:
        trained: the folder of the run whose codes these are.
    """
    key = result_file.read(trained / HISTORY, only=()).attributes["key"]
    train(settings, folder / CODES, folder, checkpoint_minutes, events=events, began=key)


def write_codes(trained: Path, data: Path, target: Path) -> None:
    """Write the codes of the training images as a data set of bytes."""
    stored = result_file.read(trained / HISTORY, only=()).attributes
    model = build_model(stored["run"], stored["pixels"], "cpu")
    load_weights(model, trained / WEIGHTS)
    model.eval()
    images = torch.from_numpy(read_images(data, "train")).flatten(1)
    codes = training_codes(model, images).numpy()
    arrays = {"train/images": codes, "train/labels": read_labels(data, "train")}
    result_file.write(target, arrays, {"codes": model.code_count})
