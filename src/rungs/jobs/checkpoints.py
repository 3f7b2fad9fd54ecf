"""Checkpoints: the state of a run in training, in its folder, under its key.

They are no outputs of a rule, because Snakemake deletes the outputs of a job that dies.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from rungs.errors import StoreError
from rungs.storage.tensors import load_tensors, save_tensors
from rungs.study.layout import checkpoint_name
from rungs.training.trainer import Trainer

#: the version of the format; a checkpoint of another is not used
FORMAT = "1"
#: seconds before a checkpoint that looks damaged is read again. On a shared file system one that another
#: node has just written can appear with the size of the one before, while its attributes are cached.
PAUSES = (1.0, 5.0, 20.0)


def save(trainer: Trainer, folder: Path, key: str) -> None:
    """Save the state of a run at the end of an epoch.

    Args:
        key: of the run (:func:`rungs.study.keys.run_key`); only a run of the same key continues from it.
    """
    tensors, metadata = trainer.state()
    metadata |= identity(tensors, key)
    save_tensors(folder / checkpoint_name(key), tensors, metadata)


def identity(tensors: Mapping[str, Tensor], key: str) -> dict[str, str]:
    """Metadata by which a checkpoint is known again: its format, its run, and its tensors with their types
    and shapes, as only a model that trains knows which statistics its history has."""
    found = {name: f"{tensor.dtype} {list(tensor.shape)}" for name, tensor in tensors.items()}
    return {"key": key, "format": FORMAT, "tensors": json.dumps(found, sort_keys=True)}


def load(trainer: Trainer, path: Path, key: str) -> None:
    """Restore the state of the run of this key from a checkpoint.

    Raises:
        StoreError: if the checkpoint is damaged, incomplete, another run's, or of another format.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("key") != key:
        raise StoreError("the checkpoint is of other settings, code or data")
    if metadata.get("format") != FORMAT:
        raise StoreError(f"the checkpoint is not of format {FORMAT}")
    expected = identity(tensors, key)
    if metadata.get("tensors", expected["tensors"]) != expected["tensors"]:
        raise StoreError("the checkpoint is incomplete (its tensors have other names or shapes)")
    trainer.restore(tensors, metadata)


def resume(trainer: Trainer, folder: Path, key: str) -> None:
    """Restore the state of a run from its checkpoint, if there is one that can be used.

    A checkpoint that stays damaged is set aside until the run is complete, with a line that says so.
    """
    path = folder / checkpoint_name(key)
    if not path.exists():
        return
    for pause in (*PAUSES, None):
        try:
            load(trainer, path, key)
        except StoreError as error:
            if pause is not None:
                time.sleep(pause)
                continue
            aside = _aside(path)
            path.replace(aside)
            print(
                f"{path}: not used ({error}); the run starts from its beginning. The file is now "
                f"{aside.name}.",
                file=sys.stderr,
            )
            return
        print(f"{trainer.settings['run']}: resumed after epoch {trainer.epoch}", file=sys.stderr)
        return


def _aside(path: Path) -> Path:
    return path.with_name(f"damaged-{path.name}")


def find(folder: Path, key: str) -> list[Path]:
    """The checkpoint of a key, and those that are damaged or that a kill left half-written. Of the run of
    other settings in the same folder nothing is known but that somebody may want to continue it."""
    name = Path(checkpoint_name(key))
    return [
        path
        for pattern in (name.name, _aside(name).name, f".{name.stem}.*{name.suffix}")
        for path in folder.glob(pattern)
    ]


def remove(folder: Path, key: str) -> None:
    """Remove the checkpoint of a run that is complete."""
    for path in find(folder, key):
        path.unlink()
