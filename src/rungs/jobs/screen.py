"""The screen of a workflow that runs: a line for a job that starts or ends, and the time left.

Snakemake prints a paragraph a job, thousands of lines for a profile. Its log file, whose name it prints
at the end, still has them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from logging import WARNING, LogRecord
from typing import Any

from rungs.errors import RungsError
from rungs.jobs.plan import Plan
from rungs.jobs.reporting import duration
from rungs.jobs.survey import Pipeline
from rungs.study.layers import Config
from rungs.study.layout import RUN_PATTERN
from rungs.study.profile import CONFIG_VARIABLE, layer

#: rules whose jobs take long: their start is shown, too
LONG = {"train", "prior", "evaluate", "likelihood", "classifier"}
#: rules that only hand files on
UNSEEN = {"export_training", "export_evaluation", "export_prior", "results", "all"}
#: the rule that stands for a whole profile
WHOLE = "all"
#: seconds between two looks at all files for the time left; and the share of the time that looking may take
SURVEY_SECONDS, SURVEY_SHARE = 10, 0.05
#: beginnings of messages that say nothing to those who did not write Snakemake
NOISE = (
    *(
        "Building DAG",
        "Using shell",
        "Provided cores",
        "Rules claiming",
        "Conda environments: ignored",
    ),
    *("Select jobs", "Touching output", "Using profile", "Assuming unrestricted", "host: "),
)


@dataclass(frozen=True)
class Shown:
    """A job as the screen shows it."""

    rule: str
    name: str
    made: str
    began: float

    def __str__(self) -> str:
        """Return its run or pack, or the file that people look for."""
        return self.name if self.rule in LONG else self.made or self.name


class Screen:
    """Turn Snakemake's records into lines.

    Args:
        dry: whether jobs are only listed.
        clock: seconds.
    """

    def __init__(self, dry: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._dry, self._clock = dry, clock
        self._began = clock()
        self._jobs: dict[int, Shown] = {}
        #: jobs that are shown: planned, and ended
        self._total = self._count = 0
        self._whole = self._plan_shown = False
        self._ended: Shown | None = None
        #: when everything will be done and when to look again, by the clock
        self._done_at: float | None = None
        self._look_at = self._began

    def text(self, record: LogRecord, usual: Callable[[LogRecord], str]) -> str | None:
        """Return the lines of a record, None if it has none.

        Args:
            usual: Snakemake's own format.
        """
        event = str(getattr(record, "event", None) or "")
        if record.levelno >= WARNING:
            return usual(record)
        match event:
            case "job_info":
                return self._started(record)
            case "job_finished":
                self._ended = self._jobs.pop(vars(record)["job_id"], None)
                return None
            case "progress":
                return self._progress()
            case "run_info":
                return self._planned(vars(record)["stats"])
            case "shellcmd":
                return usual(record)
            case "":
                text = record.getMessage()
                return None if not text or text.startswith(NOISE) else text
        return None

    def _planned(self, stats: dict[str, Any]) -> str | None:
        if self._plan_shown:  # a dry run says it again at its end
            return None
        self._plan_shown = True
        counts = {rule: count for rule, count in stats.items() if rule not in {*UNSEEN, "total"}}
        self._whole = WHOLE in stats
        self._total = sum(counts.values())
        listed = ", ".join(f"{count} {rule}" for rule, count in counts.items())
        return f"{'To do' if self._dry else 'Jobs'}: {listed or 'only files to hand on'}"

    def _started(self, record: LogRecord) -> str | None:
        about = vars(record)
        rule = about["rule_name"]
        made = next((path for path in about["output"] if not path.endswith(".done")), "")
        if rule in UNSEEN:
            return None
        job = Shown(rule, self._named(about["wildcards"]), made, self._clock())
        self._jobs[about["jobid"]] = job
        if self._dry:
            return f"{rule:<12} {job}  ({_short(about['reason'])})"
        return f"{self._time()}  {rule:<12} {job}  starts" if rule in LONG else None

    def _progress(self) -> str | None:
        ended, self._ended = self._ended, None
        if ended is None:
            return None
        self._count += 1
        took = duration(self._clock() - ended.began)
        counted = f"{self._count} of {self._total} jobs"
        left = self._left() if self._count < self._total else ""
        return f"{self._time()}  {ended.rule:<12} {ended}  done in {took}; {counted}{left}"

    def _time(self) -> str:
        return duration(self._clock() - self._began)

    def _left(self) -> str:
        """Return the time left, where the whole profile is being made: single targets need less."""
        if not self._whole:
            return ""
        now = self._clock()
        if now >= self._look_at:
            self._done_at = None
            with suppress(RungsError, OSError):
                self._done_at = now + self._pipeline.survey().seconds_left
            took = self._clock() - now
            self._look_at = now + took + max(SURVEY_SECONDS, took / SURVEY_SHARE)
        return "" if self._done_at is None else f", {duration(max(0, self._done_at - now))} left"

    def _named(self, wildcards: dict[str, str]) -> str:
        """Return a name for a job: its run, or its pack's runs."""
        if "pack" in wildcards:
            members = self._plan.packs.get(wildcards["pack"], ())
            names = [run.path for run in members]
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            return f"{names[0]}{more}" if names else wildcards["pack"]
        if "seed" in wildcards:
            return RUN_PATTERN.format(**wildcards)
        return " ".join(wildcards.values())

    @cached_property
    def _config(self) -> Config:
        """The configuration that the workflow was started with."""
        return layer([os.environ[CONFIG_VARIABLE]])

    @cached_property
    def _plan(self) -> Plan:
        return Plan(self._config)

    @cached_property
    def _pipeline(self) -> Pipeline:
        return Pipeline(self._config)


def _short(reason: str) -> str:
    """Return the first part of Snakemake's reason.

    >>> _short("Missing output files: a, b; Code has changed since last execution")
    'Missing output files'
    """
    return reason.split(";")[0].split(":")[0]
