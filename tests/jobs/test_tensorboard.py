"""TensorBoard's event files continue where the run continues."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rungs.errors import RungsError
from rungs.jobs.reporting import Reporter
from rungs.jobs.signals import Interrupted
from rungs.jobs.tensorboard import Events, require_tensorboard
from rungs.jobs.train import train
from rungs.jobs.work import train_runs
from rungs.study.runs import Run
from rungs.training.history import History

SettingsOf = Callable[..., dict[str, Any]]


def scalars(folder: Path) -> dict[str, list[int]]:
    """Name of each scalar -> its steps, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "events"))
    found.Reload()
    return {tag: [e.step for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_event_files_go_on_where_the_run_goes_on(
    settings_of: SettingsOf, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And weights, history and key are those of a run without."""
    settings = settings_of("lvae-bn-wu", epochs=3)
    train(settings, digits, tmp_path / "without", 5)
    (tmp_path / "with" / "events").mkdir(parents=True)
    (tmp_path / "with" / "events" / "events.out.tfevents.1.old").write_bytes(b"of an earlier run")
    original = Reporter.epoch_done

    def stop(self: Reporter) -> None:
        original(self)
        if self._group[0][0].epoch == 2:
            os.kill(os.getpid(), signal.SIGUSR1)

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "epoch_done", stop)
        with pytest.raises(Interrupted):
            train(settings, digits, tmp_path / "with", 5, events=True)
    train(settings, digits, tmp_path / "with", 5, events=True)
    found = scalars(tmp_path / "with")
    assert {
        *("training/elbo", "training/reconstruction", "training/kl_weight", "kl/all", "kl/layer1"),
        *("kl/layer2", "active_units/layer1", "active_units/layer2", "speed/images_per_second"),
    } <= set(found)
    assert all(steps == [1, 2, 3, 4] for steps in found.values()), found
    for name in ("weights.safetensors", "training.h5"):
        one, other = ((tmp_path / f / name).read_bytes() for f in ("with", "without"))
        assert one == other


def fake_trainer(epochs: int) -> Any:
    """A run that has trained so many epochs."""
    history = History.of({"elbo": -90.0 - torch.arange(epochs)})
    speed = lambda: 1.0  # noqa: E731
    return SimpleNamespace(epoch=epochs, history=history, latent_sizes=[], images_per_second=speed)


def test_epochs_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    """A run that was killed in epoch 4 goes on from its checkpoint of epoch 2."""
    trainer = fake_trainer(0)
    first = Events(trainer, tmp_path)
    for epochs in (1, 2, 3, 4):
        trainer.epoch, trainer.history = epochs, fake_trainer(epochs).history
        first.write_epoch()
    first.close()
    trainer = fake_trainer(2)
    second = Events(trainer, tmp_path)
    trainer.epoch, trainer.history = 3, fake_trainer(3).history
    second.write_epoch()
    second.close()
    assert scalars(tmp_path)["training/elbo"] == [1, 2, 3]
    # asked for only now: the epochs before are in the history
    late = Events(fake_trainer(5), tmp_path / "late")
    late.close()
    assert scalars(tmp_path / "late")["training/elbo"] == [1, 2, 3, 4, 5]


def test_without_tensorboard_nothing_starts(
    smoke_config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results/data").mkdir(parents=True)
    Path("results/data/mnist5k.h5").symlink_to(digits)
    require_tensorboard()
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    config = smoke_config | {"compute": smoke_config["compute"] | {"tensorboard": True}}
    with pytest.raises(RungsError, match="tensorboard is not installed; install it with"):
        train_runs(config, {Run("mnist5k", "vae", 2, 0): tmp_path / "run"})
    assert not (tmp_path / "run").exists()
