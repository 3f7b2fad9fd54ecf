"""A run continues only from a whole checkpoint of its own key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import training_images
from rungs.data.prepared import read_images
from rungs.errors import StoreError
from rungs.jobs import checkpoints
from rungs.jobs.train import tidy, train
from rungs.storage.tensors import save_tensors
from rungs.study.keys import run_key
from rungs.study.layout import checkpoint_name
from rungs.training.trainer import Trainer

SettingsOf = Callable[..., dict[str, Any]]

RESULTS = ("weights.safetensors", "training.h5")


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


def test_a_checkpoint_of_another_key_or_format_is_not_used(
    settings_of: SettingsOf, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, other = (
        Trainer(settings_of(epochs=3), training_images(digits), "cpu") for _ in range(2)
    )
    trainer.run_epoch()
    checkpoints.save(trainer, tmp_path, "one")
    path = tmp_path / checkpoint_name("one")
    with pytest.raises(StoreError, match="other settings, code or data"):
        checkpoints.load(other, path, "another")
    with monkeypatch.context() as later:
        later.setattr(checkpoints, "FORMAT", "2")
        with pytest.raises(StoreError, match="not of format 2"):
            checkpoints.load(other, path, "one")
    assert other.epoch == 0
    checkpoints.load(other, path, "one")
    assert other.epoch == 1


def test_a_run_that_completes_leaves_the_checkpoint_of_other_settings(
    settings_of: SettingsOf, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A long run is stopped, a short one is done, the long one goes on where it was."""
    long = settings_of(epochs=3, continuation=0.0)
    train(long, digits, tmp_path / "whole", 5)
    trainer = Trainer(long, torch.from_numpy(read_images(digits, "train")).flatten(1), "cpu")
    trainer.run_epoch()
    folder, key = tmp_path / "stopped", run_key(long, digits)
    folder.mkdir()
    checkpoints.save(trainer, folder, key)
    short = settings_of(epochs=1, continuation=0.0)
    train(short, digits, folder, 5)
    tidy(folder, run_key(short, digits))
    assert [path.name for path in folder.glob("*checkpoint-*")] == [checkpoint_name(key)]
    capsys.readouterr()
    train(long, digits, folder, 5)
    assert "resumed after epoch 1" in capsys.readouterr().err
    assert contents(folder) == contents(tmp_path / "whole")
    assert not list(folder.glob("*checkpoint-*"))


@pytest.mark.parametrize("damage", ["garbage", "truncated", "incomplete"])
def test_a_damaged_checkpoint_starts_the_run_anew(
    damage: str,
    settings_of: SettingsOf,
    digits: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoints, "PAUSES", (0.0,))
    settings = settings_of(epochs=2)
    train(settings, digits, tmp_path / "whole", 5)
    folder = tmp_path / "damaged"
    folder.mkdir()
    key = run_key(settings, digits)
    path = folder / checkpoint_name(key)
    if damage == "incomplete":
        save_tensors(path, {"parameters": torch.zeros(3)}, {"key": key, "format": "1"})
    else:
        trainer = Trainer(settings, training_images(digits), "cpu")
        trainer.run_epoch()
        checkpoints.save(trainer, folder, key)
        content = path.read_bytes()
        path.write_bytes(b"not safetensors" if damage == "garbage" else content[:-100])
    train(settings, digits, folder, 5)
    assert "not used" in capsys.readouterr().err
    assert contents(folder) == contents(tmp_path / "whole")
    assert not list(folder.glob("*checkpoint-*"))


def test_a_checkpoint_that_is_whole_at_a_second_look_is_used(
    settings_of: SettingsOf,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on another node's file system, whose size of the file is old for some seconds."""
    settings = settings_of(epochs=2)
    trainer, images = Trainer(settings, training_images(digits), "cpu"), training_images(digits)
    trainer.run_epoch()
    checkpoints.save(trainer, tmp_path, "k")
    path = tmp_path / checkpoint_name("k")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    monkeypatch.setattr("time.sleep", lambda _: path.write_bytes(whole))
    later = Trainer(settings, images, "cpu")
    checkpoints.resume(later, tmp_path, "k")
    assert later.epoch == 1
    assert path.read_bytes() == whole
