"""The lines that a workflow prints while it runs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from rungs.jobs.screen import Screen
from rungs.jobs.survey import Pipeline, Survey
from rungs.study.layers import DEFAULT
from rungs.study.profile import CONFIG_VARIABLE, freeze, load


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(
    event: str | None, level: int = logging.INFO, msg: str = "", **about: Any
) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", level, "", 0, msg, None, None)
    vars(made).update(about | ({"event": event} if event else {}))
    return made


def job(number: int, rule: str, output: list[str], **wildcards: str) -> logging.LogRecord:
    about = {"rule_name": rule, "output": output, "wildcards": wildcards}
    return record(
        "job_info", jobid=number, reason="Missing output files: a; Code has changed", **about
    )


def usual(told: logging.LogRecord) -> str:
    return f"usual {told.getMessage()}"


RUN = {"dataset": "mnist5k", "variant": "vae", "size": "depth2", "seed": "1"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frozen = freeze(load([DEFAULT]), str(tmp_path / "config"))
    monkeypatch.setenv(CONFIG_VARIABLE, str(frozen))


def test_a_job_has_a_line_when_it_ends_and_a_long_one_when_it_starts(config: None) -> None:
    clock = Clock()
    screen = Screen(dry=False, clock=clock)
    assert screen.text(
        record("run_info", stats={"train": 1, "export_training": 1, "total": 2}), usual
    ) == ("Jobs: 1 train")
    started = screen.text(job(1, "train", ["a.done"], **RUN), usual)
    assert started == "0:00:00  train        mnist5k/vae/depth2/seed1  starts"
    clock.now = 75
    assert screen.text(record("job_finished", job_id=1), usual) is None
    assert screen.text(record("progress", done=1, total=2), usual) == (
        "0:01:15  train        mnist5k/vae/depth2/seed1  done in 0:01:15; 1 of 1 jobs"
    )


def test_a_single_target_prints_its_path(config: None) -> None:
    screen = Screen(dry=False, clock=Clock())
    assert (
        screen.text(job(1, "figure", ["results/x.png", "results/x.pdf"], figure="x"), usual) is None
    )
    screen.text(record("job_finished", job_id=1), usual)
    assert "figure       results/x.png  done" in str(
        screen.text(record("progress", done=1, total=1), usual)
    )


def test_the_time_left_is_that_of_a_whole_profile(config: None) -> None:
    screen = Screen(dry=False, clock=Clock())
    screen.text(record("run_info", stats={"all": 1, "table": 2, "total": 3}), usual)
    screen.text(job(1, "table", ["results/t.csv"], table="t"), usual)
    screen.text(record("job_finished", job_id=1), usual)
    assert str(screen.text(record("progress", done=1, total=3), usual)).endswith(" left")


def test_files_are_not_looked_at_for_every_job(
    config: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A survey opens files of all runs: its answer is good for some seconds, less those that have passed."""
    clock, looks = Clock(), []
    survey = Survey("quick", [], [], work_seconds=0, seconds_left=100)

    def look(pipeline: Pipeline) -> Survey:
        looks.append(clock.now)
        clock.now += 1 if len(looks) == 2 else 0  # the second takes longer
        return survey

    monkeypatch.setattr(Pipeline, "survey", look)
    screen = Screen(dry=False, clock=clock)
    screen.text(record("run_info", stats={"all": 1, "table": 9, "total": 10}), usual)
    left = []
    for now in (0, 4, 10, 30, 31.5):
        clock.now = now
        screen.text(job(1, "table", ["results/t.csv"], table="t"), usual)
        screen.text(record("job_finished", job_id=1), usual)
        left.append(str(screen.text(record("progress", done=1, total=9), usual)).split(", ")[-1])
    assert left == [f"0:01:{seconds} left" for seconds in (40, 36, 40, 20, 40)]
    assert looks == [0, 10, 31.5]


def test_a_pack_is_named_by_its_runs(config: None) -> None:
    screen = Screen(dry=True)
    pack = next(iter(screen._plan.packs))
    told = screen.text(job(1, "train", ["a.done"], pack=pack), usual)
    first = screen._plan.packs[pack][0]
    assert told is not None
    assert told.startswith(f"train        {first.path}")
    assert told.endswith("(Missing output files)")


def test_jobs_that_hand_files_on_and_noise_have_no_line(config: None) -> None:
    screen = Screen(dry=False)
    assert screen.text(job(1, "export_training", ["a"], **RUN), usual) is None
    screen.text(record("job_finished", job_id=1), usual)
    assert screen.text(record("progress", done=1, total=2), usual) is None
    assert screen.text(record(None, msg="Select jobs to execute..."), usual) is None
    assert screen.text(record(None, msg="Nothing to be done."), usual) == "Nothing to be done."


def test_warnings_and_errors_look_as_usual(config: None) -> None:
    screen = Screen(dry=False)
    assert screen.text(record("job_error", logging.ERROR, "failed"), usual) == "usual failed"
