"""The data of the measurements: MNIST where a raw-data folder or a prepared file has it, else the embedded
digits, repeated over as many steps."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import Tensor

from rungs.data import prepare
from rungs.data.binarise import binarise
from rungs.paths import ROOT
from rungs.study import profile as configuration
from rungs.study.profile import RAW_DATA_VARIABLE
from rungs.study.runs import Run
from rungs.study.settings import RunSettings, TrainingSettings, resolve

#: the VAE of the comparison
PIXELS, HIDDEN, UNITS = 784, 512, 64


def images() -> tuple[str, Tensor, Tensor]:
    """Name, training images uint8 ``[n, 784]``, and test images, binarised once."""
    raw = os.environ.get(RAW_DATA_VARIABLE)
    name = "mnist" if raw else "mnist5k"
    with TemporaryDirectory() as cache:
        found = prepare(name, Path(raw) if raw else None, Path(cache))
    test = torch.from_numpy(found.test_images).flatten(1)
    fixed = binarise(test, torch.Generator().manual_seed(0))
    return name, torch.from_numpy(found.train_images).flatten(1), fixed


def profile(name: str) -> dict[str, Any]:
    """The configuration of a profile."""
    return configuration.load([ROOT / "config" / f"{name}.yaml"])


def settings_of(variant: str, depth: int, seed: int = 0, **changes: Any) -> RunSettings:
    """The paper's recipe of a variant at a depth, with other training settings."""
    settings = resolve(profile("paper"), Run("mnist", variant, depth, seed))
    changed = {**settings["training"], "warm_up_epochs": 1, **changes}
    settings["training"] = cast(TrainingSettings, changed)
    return settings
