"""Progress: what training processes tell, what is made of it, and that it changes nothing."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console

from rungs.cli import progress as follow
from rungs.errors import RungsError
from rungs.figures import FIGURES
from rungs.jobs import reporting as progress
from rungs.jobs.reporting import ProgressLine, Reporter
from rungs.jobs.signals import Interrupted
from rungs.jobs.survey import Pipeline, Survey
from rungs.jobs.tensorboard import Events, require_tensorboard
from rungs.jobs.train import TrainingJob, train, train_together
from rungs.jobs.work import train_runs
from rungs.storage import beacon as beacons
from rungs.storage.beacon import PROGRESS_FILE, Beacon, read_beacon
from rungs.study.layout import STAGES, Layout
from rungs.study.runs import Run
from rungs.tables import TABLES
from rungs.training.history import History
from rungs.training.trainer import Trainer

SpecOf = Callable[..., dict[str, Any]]


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
    spec_of: SpecOf, digits: Path, tmp_path: Path, told: list[dict[str, Any]]
) -> None:
    specs = [spec_of(epochs=2) | {"seed": seed, "run": f"r/{seed}"} for seed in (0, 1)]
    train(specs[0], digits, tmp_path / "alone", 5)
    first, last = told
    assert (first["run"], first["stage"], first["epoch"], first["epochs"]) == ("r/0", "train", 1, 2)
    assert (last["epoch"], last["criterion"]) == (2, "ELBO")
    assert -784 < last["value"] < 0
    assert last["images_per_second"] > 4000 * last["epochs_per_second"] * 0.5 > 0
    assert not (tmp_path / "alone" / PROGRESS_FILE).exists()
    told.clear()
    train_together(
        [TrainingJob(s, tmp_path / str(s["seed"])) for s in specs], digits, 5, events=True
    )
    assert scalars(tmp_path / "0")["training/elbo"] == scalars(tmp_path / "1")["kl/all"] == [1, 2]
    assert [(t["run"], t["epoch"]) for t in told] == [
        ("r/0", 1),
        ("r/1", 1),
        ("r/0", 2),
        ("r/1", 2),
    ]


def test_the_prior_tells_in_the_name_of_its_run(spec_of: SpecOf) -> None:
    spec = spec_of(epochs=3) | {"run": "mnist5k/vq/codes16/seed0/prior"}
    trainer: Any = SimpleNamespace(spec=spec, settings=spec["training"], epoch=0)
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


def scalars(folder: Path) -> dict[str, list[int]]:
    """Name of each scalar -> its steps, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "events"))
    found.Reload()
    return {tag: [e.step for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_event_files_go_on_where_the_run_goes_on(
    spec_of: SpecOf, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And weights, history and key are those of a run without."""
    spec = spec_of("lvae-bn-wu", epochs=3)
    train(spec, digits, tmp_path / "without", 5)
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
            train(spec, digits, tmp_path / "with", 5, events=True)
    train(spec, digits, tmp_path / "with", 5, events=True)
    found = scalars(tmp_path / "with")
    assert {
        *("training/elbo", "training/reconstruction", "training/kl_weight", "kl/all", "kl/layer1"),
        *("kl/layer2", "active_units/layer1", "active_units/layer2", "speed/images_per_second"),
    } <= set(found)
    assert all(steps == [1, 2, 3] for steps in found.values()), found
    for name in ("weights.safetensors", "training.h5"):
        one, other = ((tmp_path / f / name).read_bytes() for f in ("with", "without"))
        assert one == other


def fake_trainer(epochs: int) -> Any:
    """A run that has trained so many epochs."""
    history = History.of({"elbo": -90.0 - torch.arange(epochs)})
    speed = lambda: 1.0  # noqa: E731
    return SimpleNamespace(epoch=epochs, history=history, model=object(), images_per_second=speed)


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


@pytest.fixture
def profile(
    smoke_config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    grid = {"datasets": ["mnist5k"], "variants": ["vae"], "depths": [2], "seeds": [0, 1, 2]}
    codes = {"datasets": ["mnist5k"], "variants": ["vq"], "codes": [16], "seeds": [0]}
    return smoke_config | {"experiments": {"ladder": [grid], "vq": [codes]}}


def done(folder: Path, stage: str, seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in STAGES[stage]:
        (folder / name).write_text(json.dumps({"seconds": seconds}))


def stages_of(survey: Survey) -> dict[str, tuple[int, int]]:
    return {stage.name: (stage.done, stage.total) for stage in survey.stages}


def test_jobs_are_counted_and_times_scaled(profile: dict[str, Any]) -> None:
    pipeline, layout = Pipeline(profile), Layout("smoke")
    before = pipeline.survey()
    assert stages_of(before) == {
        "train": (0, 4),
        "prior": (0, 1),
        "evaluate": (0, 4),
        "figures": (0, len(FIGURES)),
        "tables": (0, len(TABLES)),
    }
    assert before.working == []
    assert before.work_seconds == before.seconds_left > 0
    runs = [Run("mnist5k", "vae", 2, seed) for seed in range(3)]
    estimates = {job.name: job.seconds for job in pipeline.jobs if job.stage == "train"}
    # one in its folder, one in its pack's working folder; three times slower than estimated
    slow = 3 * estimates[runs[0].path]
    done(Path(layout.run(runs[0])), "train", slow)
    done(Path(layout.work(runs[1])), "train", slow)
    survey = pipeline.survey()
    assert stages_of(survey)["train"] == (2, 4)
    (train_before, *_), (train_now, *_) = before.stages, survey.stages
    starts = 4.0
    expected = 3 * (train_before.seconds_left - 4 * starts - 2 * estimates[runs[0].path])
    assert train_now.seconds_left == pytest.approx(expected + 2 * starts)


def test_a_run_in_training_is_shown_with_its_own_speed(profile: dict[str, Any]) -> None:
    run = Run("mnist5k", "vae", 2, 0)
    pipeline, folder = Pipeline(profile), Path(Layout("smoke").run(run))
    about = {"run": run.path, "stage": "train", "epoch": 3, "epochs": 13, "criterion": "ELBO"}
    speeds = {"value": -99.5, "epochs_per_second": 0.5, "images_per_second": 2000.0}
    beacon = Beacon({folder: about | speeds})
    other = Beacon({Path(Layout("smoke").work(Run("mnist5k", "vae", 2, 1))): about | speeds})
    survey = pipeline.survey()
    now = survey.working[0]
    assert len(survey.working) == 2
    assert (now.run, now.stage, now.epoch, now.epochs) == (run.path, "train", 3, 13)
    assert now.seconds_left == 20
    assert survey.seconds_left == pytest.approx(survey.work_seconds / 2)
    text = follow.line(survey)
    assert f"train {run.path} epoch 3/13 ELBO -99.50" in text
    assert "\n" not in text
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(follow.picture(survey))
    picture = console.export_text()
    for shown in (run.path, "3/13", "-99.50", "0.5", "2,000", "0:00:20", "2 at a time", "0/4"):
        assert shown in picture
    assert follow.as_document(survey)["working"][0]["value"] == -99.5
    beacon.close()
    other.close()
    assert pipeline.survey().working == []


def test_watching_ends_when_all_is_done(
    profile: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = Pipeline(profile)
    first = pipeline.survey()
    for job in pipeline.jobs:
        job.folders[0].mkdir(parents=True, exist_ok=True)
        for name in job.files:
            (job.folders[0] / name).write_text('{"seconds": 1.0}')
    last = pipeline.survey()
    assert last.finished
    assert last.seconds_left == 0
    states = iter([first, first, last])
    follow.follow(lambda: next(states), seconds=0.0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "train 0/4" in lines[0]
    assert "nothing is running" in lines[1]
    assert lines[2].endswith("all done")


def test_telling_costs_next_to_nothing(spec_of: SpecOf, digits: Path, tmp_path: Path) -> None:
    """Milliseconds an epoch at most, also where it is busy."""
    from rungs.data.prepared import read_images

    images = torch.from_numpy(read_images(digits, "train")[:400]).flatten(1)
    trainer = Trainer(spec_of(epochs=1000), images, "cpu")
    trainer.run_epoch()
    report = Reporter([(trainer, tmp_path)])
    started = time.perf_counter()
    for _ in range(100):
        report.epoch_done()
    assert time.perf_counter() - started < 0.5
    report.close()
