"""A survey of a profile: jobs done and left, runs that are being worked on, and the time left.

Only files are looked at: a job is done if its files are there. Whether they are stale only Snakemake
knows (``snakemake -n``); a job that it makes again counts as done until it has begun.

The time left is the estimate of :mod:`rungs.jobs.cost`, scaled by the time that finished jobs have taken
on this machine; a run in training is estimated by its own speed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rungs.errors import StoreError
from rungs.figures import FIGURES
from rungs.jobs.cost import START_SECONDS, estimate
from rungs.models.cost import Cost
from rungs.storage.beacon import read_beacon
from rungs.storage.cost_file import read_seconds
from rungs.study.layers import Config
from rungs.study.layout import EVALUATION_COST, STAGES, TRAINING_COST, Layout
from rungs.study.runs import PRIOR_FOLDER, Run, all_runs, runs
from rungs.study.settings import code_prior_settings
from rungs.tables import TABLES

#: stages that are made from all runs
DRAWN = ("figures", "tables")
#: stage of a run, in order -> its file of costs
COSTS = {"train": TRAINING_COST, "prior": TRAINING_COST, "evaluate": EVALUATION_COST}


@dataclass(frozen=True)
class Job:
    """A stage of a run, or a figure or table.

    Attributes:
        folders: where its files may be; those of a run are in its folder or in its working folder.
        files: their names.
        seconds: estimated, besides the start of the process.
    """

    stage: str
    name: str
    folders: tuple[Path, ...]
    files: tuple[str, ...]
    seconds: float

    def found(self) -> Path | None:
        """The folder that has all the files, if one has."""
        for folder in self.folders:
            if all((folder / name).exists() for name in self.files):
                return folder
        return None


@dataclass(frozen=True)
class Stage:
    """The jobs of one stage, and its seconds of work that are left."""

    name: str
    done: int
    total: int
    seconds_left: float


@dataclass(frozen=True)
class Working:
    """A run that a process works on, according to its beacon.

    Attributes:
        value: the latest value of the ``criterion`` (ELBO in nats an image, or the objective).
        seconds_left: estimated.
    """

    run: str
    stage: str
    seconds_left: float
    epoch: int | None = None
    epochs: int | None = None
    criterion: str | None = None
    value: float | None = None
    epochs_per_second: float | None = None
    images_per_second: float | None = None
    host: str | None = None


@dataclass(frozen=True)
class Survey:
    """A profile's progress.

    Attributes:
        work_seconds: of one job after the other.
        seconds_left: with as many jobs side by side as there are now.
    """

    profile: str
    stages: list[Stage]
    working: list[Working]
    work_seconds: float
    seconds_left: float

    @property
    def finished(self) -> bool:
        """Return whether nothing is left."""
        return all(stage.done == stage.total for stage in self.stages)


@dataclass
class Pipeline:
    """A profile's jobs; estimates and measured times are kept between surveys."""

    config: Config
    jobs: list[Job] = field(init=False)
    _measured: dict[Path, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config, layout = self.config, Layout(self.config["profile"])
        everything = all_runs(config)
        costs = {run: estimate(config, run) for run in everything}
        asked = set(runs(config))
        self.jobs = [
            _run_job(config, layout, stage, run, costs[run])
            for stage in COSTS
            for run in everything
            if (stage != "evaluate" or run in asked)
            and (stage != "prior" or code_prior_settings(config, run) is not None)
        ]
        for stage, names, path, suffixes in (
            ("figures", FIGURES, layout.figure, (".png", ".pdf")),
            ("tables", TABLES, layout.table, (".csv", ".md")),
        ):
            for name in names:
                folder = Path(path(name, "")).parent
                files = tuple(f"{name}{suffix}" for suffix in suffixes)
                self.jobs.append(Job(stage, name, (folder,), files, seconds=0.0))

    def survey(self) -> Survey:
        """The present state."""
        found = {job: job.found() for job in self.jobs}
        beacons = {job: self._beacon(job) for job in self.jobs if job.stage in COSTS}
        ratio = self._ratio(found, beacons)
        left: dict[str, list[float]] = {stage: [] for stage in (*COSTS, *DRAWN)}
        done = dict.fromkeys(left, 0)
        working = []
        for job in self.jobs:
            beacon = beacons.get(job)
            if beacon is not None:
                now = _working(job, beacon, ratio)
                working.append(now)
                left[job.stage].append(now.seconds_left)
            elif found[job] is None:
                left[job.stage].append(START_SECONDS + ratio * job.seconds)
            else:
                done[job.stage] += 1
        waiting = [seconds for stage in left.values() for seconds in stage]
        work = sum(waiting)
        total = {stage: done[stage] + len(left[stage]) for stage in left}
        return Survey(
            self.config["profile"],
            [Stage(name, done[name], total[name], sum(left[name])) for name in left if total[name]],
            working,
            work,
            max([work / max(len(working), 1), *waiting], default=0.0),
        )

    def _beacon(self, job: Job) -> dict[str, Any] | None:
        for folder in job.folders:
            content = read_beacon(folder)
            if content is not None and content.get("stage") == job.stage:
                return content
        return None

    def _ratio(
        self, found: dict[Job, Path | None], beacons: dict[Job, dict[str, Any] | None]
    ) -> float:
        """Measured over estimated seconds, of jobs that are done and of runs in training."""
        measured = estimated = 0.0
        for job, folder in found.items():
            if job.stage not in COSTS:
                continue
            beacon = beacons[job]
            if beacon is not None and beacon.get("epochs_per_second"):
                seconds = beacon["epochs"] / beacon["epochs_per_second"]
            elif folder is not None:
                seconds = self._seconds(folder / COSTS[job.stage])
            else:
                continue
            measured, estimated = measured + seconds, estimated + job.seconds
        return measured / estimated if measured and estimated else 1.0

    def _seconds(self, path: Path) -> float:
        if path not in self._measured:
            try:
                self._measured[path] = read_seconds(path)
            except StoreError:
                return 0.0
        return self._measured[path]


def _run_job(config: Config, layout: Layout, stage: str, run: Run, cost: Cost) -> Job:
    folders: Iterable[Path] = (Path(layout.run(run)), Path(layout.work(run)))
    if stage == "prior":
        folders = (folder / PRIOR_FOLDER for folder in folders)
    return Job(stage, run.path, tuple(folders), STAGES[stage], cost.seconds(stage))


def _working(job: Job, beacon: dict[str, Any], ratio: float) -> Working:
    speed = beacon.get("epochs_per_second")
    if speed:
        left = (beacon["epochs"] - beacon["epoch"]) / speed
    else:
        left = max(ratio * job.seconds - (time.time() - beacon["began"]), 0.0)
    names = ("epoch", "epochs", "criterion", "value", "epochs_per_second", "images_per_second")
    told = {name: beacon.get(name) for name in (*names, "host")}
    return Working(job.name, job.stage, left, **told)
