"""Checkpoints: the state of a run in training, in its folder, under its key.

They are no outputs of a rule, because Snakemake deletes the outputs of a job that dies.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rungs.errors import StoreError
from rungs.storage.tensors import load_tensors, save_tensors
from rungs.training.trainer import Trainer


def checkpoint(folder: Path, key: str) -> Path:
    """The file of the checkpoint of the run of this key."""
    return folder / f"checkpoint-{key}.safetensors"


def save(trainer: Trainer, folder: Path, key: str) -> None:
    """Save the state of a run at the end of an epoch."""
    tensors, metadata = trainer.state()
    save_tensors(checkpoint(folder, key), tensors, {"key": key, **metadata})


def load(trainer: Trainer, path: Path, key: str) -> None:
    """Restore the state of the run of this key from a checkpoint.

    Raises:
        StoreError: if the checkpoint is damaged, incomplete or another run's.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("key") != key:
        raise StoreError("the checkpoint is of other settings, code or data")
    trainer.restore(tensors, metadata)


def resume(trainer: Trainer, folder: Path, key: str) -> None:
    """Restore the state of a run from its checkpoint, if there is one that can be used.

    A checkpoint that is damaged or of another run is removed, with a line that says so.
    """
    path = checkpoint(folder, key)
    if not path.exists():
        return
    try:
        load(trainer, path, key)
    except StoreError as error:
        print(f"{path}: not used ({error}); the run starts from its beginning.", file=sys.stderr)
        path.unlink()
        return
    print(f"{trainer.spec['run']}: resumed after epoch {trainer.epoch}", file=sys.stderr)


def remove_all(folder: Path) -> None:
    """Remove the checkpoints of a run that is complete, and those that a kill left half-written."""
    for stale in folder.glob("*checkpoint-*.safetensors"):
        stale.unlink()
