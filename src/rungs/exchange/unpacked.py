"""Checks of the folder of an unpacked archive, none of whose files is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rungs.errors import ArchiveError, StoreError
from rungs.exchange.archive_format import (
    MANIFEST,
    MEMBERS,
    PRIOR_FILES,
    parse,
    refused,
)
from rungs.storage import hdf5, result_file
from rungs.storage.atomic import sha256
from rungs.storage.result_file import Stored
from rungs.study.layout import EVALUATION, HISTORY, WEIGHTS
from rungs.study.runs import PRIOR_FOLDER


def check_folder(folder: Path) -> dict[str, Any]:
    """Check an unpacked archive: every file's hash, the files' form, and that they are of one run.

    Returns:
        Its manifest.

    Raises:
        ArchiveError, StoreError: naming the file.
    """
    manifest = parse(folder / MANIFEST, MANIFEST, (folder / MANIFEST).read_bytes())
    for name, listed in manifest["members"].items():
        path = folder / name
        if name not in MEMBERS or not path.is_file() or path.is_symlink():
            raise refused(path, "the file is missing")
        if sha256(path.read_bytes()) != listed.get("sha256"):
            raise refused(path, f"it differs from its checksum in {MANIFEST}")
    names = (HISTORY, EVALUATION, *PRIOR_FILES[1:])
    stored = [folder / name for name in names if (folder / name).is_file()]
    if reason := hdf5.crashes(*stored):
        raise refused(folder, reason)
    for path in stored:
        _check_arrays(path)
    run = manifest.get("run")
    training, evaluation = (result_file.read(folder / name) for name in (HISTORY, EVALUATION))
    described = parse(folder / "run.json", "run.json", (folder / "run.json").read_bytes())
    settings = training.attributes.get("run")
    if not isinstance(settings, dict) or settings.get("run") != run:
        raise refused(folder / HISTORY, f"it is not of the run {run!r}")
    if evaluation.attributes.get("run") != settings or described.get("run") != settings:
        raise refused(folder, "its files are not of one run")
    if not isinstance(described.get("numbers"), dict):
        raise refused(folder / "run.json", "it has no numbers")
    _check_weights(folder / WEIGHTS, training)
    if (folder / PRIOR_FILES[1]).is_file():
        prior = result_file.read(folder / PRIOR_FILES[1], only=())
        if prior.attributes["run"].get("run") != f"{run}/{PRIOR_FOLDER}":
            raise refused(folder / PRIOR_FILES[1], "it is the prior of another run")
        _check_weights(folder / PRIOR_FILES[0], prior)
    return manifest


def _check_arrays(path: Path) -> None:
    """An HDF5 file can point to other files and declare arrays that no memory holds."""
    try:
        result_file.check_arrays(path)
    except StoreError as error:
        raise ArchiveError(str(error)) from error


def _check_weights(path: Path, training: Stored) -> None:
    """The tensors are those of the model which the settings describe, by name and shape, before
    memory is given to such a model."""
    from rungs.models import outline
    from rungs.storage.tensors import shapes

    found = shapes(path)
    try:
        settings = training.attributes["run"]
        model = outline(settings["model"], training.attributes["pixels"], settings["network"])
        expected = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    except Exception as error:  # whatever a model makes of strange settings
        raise refused(path, "the run's settings describe no model of this version") from error
    if found != expected:
        raise refused(path, "it holds another model's weights")
