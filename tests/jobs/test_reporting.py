"""Reports of training: a bar, lines of a log, beacons; they change nothing and cost nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rungs.jobs import reporting as progress
from rungs.jobs.reporting import ProgressLine, Reporter
from rungs.jobs.train import TrainingJob, train, train_together
from rungs.storage import beacon as beacons
from rungs.storage.beacon import PROGRESS_FILE, read_beacon
from rungs.training.trainer import Trainer

SettingsOf = Callable[..., dict[str, Any]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What progress.json says after every epoch, of every run that is trained."""
    found: list[dict[str, Any]] = []
    original = Reporter.epoch_done

    def spy(self: Reporter) -> None:
        original(self)
        found.extend(content for _, f in self._group if (content := read_beacon(f)))

    monkeypatch.setattr(beacons, "FILE_SECONDS", 0.0)
    monkeypatch.setattr(beacons, "FILE_SECONDS_A_RUN", 0.0)
    monkeypatch.setattr(Reporter, "epoch_done", spy)
    return found


def test_a_run_in_training_tells_of_itself(
    settings_of: SettingsOf, digits: Path, tmp_path: Path, told: list[dict[str, Any]]
) -> None:
    all_settings = [settings_of(epochs=1) | {"seed": seed, "run": f"r/{seed}"} for seed in (0, 1)]
    train(all_settings[0], digits, tmp_path / "alone", 5)
    first, last = told
    assert (first["run"], first["stage"], first["epoch"], first["epochs"]) == ("r/0", "train", 1, 2)
    assert (last["epoch"], last["criterion"]) == (2, "ELBO")
    assert -784 < last["value"] < 0
    assert last["images_per_second"] > 4000 * last["epochs_per_second"] * 0.5 > 0
    assert not (tmp_path / "alone" / PROGRESS_FILE).exists()
    told.clear()
    train_together(
        [TrainingJob(s, tmp_path / str(s["seed"])) for s in all_settings], digits, 5, events=True
    )
    assert scalars(tmp_path / "0")["training/elbo"] == scalars(tmp_path / "1")["kl/all"] == [1, 2]
    assert [(t["run"], t["epoch"]) for t in told] == [
        ("r/0", 1),
        ("r/1", 1),
        ("r/0", 2),
        ("r/1", 2),
    ]


def scalars(folder: Path) -> dict[str, list[int]]:
    """Name of each scalar -> its steps, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "events"))
    found.Reload()
    return {tag: [e.step for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_the_prior_tells_in_the_name_of_its_run(settings_of: SettingsOf) -> None:
    settings = settings_of(epochs=3, continuation=0.0) | {"run": "mnist5k/vq/codes16/seed0/prior"}
    trainer: Any = SimpleNamespace(settings=settings, recipe=settings["training"], epoch=0)
    assert progress._about(trainer)["run"] == "mnist5k/vq/codes16/seed0"
    assert progress._about(trainer)["stage"] == "prior"


def test_a_log_file_gets_few_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10**6, 1))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    line = ProgressLine()
    for epoch in range(1, 301):
        line.update(f"epoch {epoch}", epoch / 300)
    assert capsys.readouterr().err.splitlines() == [
        f"epoch {epoch}" for epoch in (1, 61, 121, 181, 241, 300)
    ]


def test_a_terminal_gets_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    line = ProgressLine()
    line.update("run [a] epoch 1/2", 0.5)
    line.close()
    assert "50%" in (text := capsys.readouterr().err)
    assert "run [a] epoch 1/2" in text


def test_telling_costs_next_to_nothing(
    settings_of: SettingsOf, digits: Path, tmp_path: Path
) -> None:
    """Milliseconds an epoch at most, also where it is busy."""
    from rungs.data.prepared import read_images

    images = torch.from_numpy(read_images(digits, "train")[:400]).flatten(1)
    trainer = Trainer(settings_of(epochs=1000), images, "cpu")
    trainer.run_epoch()
    report = Reporter([(trainer, tmp_path)])
    started = time.perf_counter()
    for _ in range(100):
        report.epoch_done()
    assert time.perf_counter() - started < 0.5
    report.close()
