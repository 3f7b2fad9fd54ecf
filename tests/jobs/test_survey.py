"""The survey of a profile: jobs done and left, runs in training, the time left."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rungs.cli import progress as follow
from rungs.figures import FIGURES
from rungs.jobs.survey import Pipeline, Survey
from rungs.storage.beacon import Beacon
from rungs.study.layout import STAGES, Layout
from rungs.study.runs import Run
from rungs.tables import TABLES


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
