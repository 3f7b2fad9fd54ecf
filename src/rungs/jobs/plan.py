"""The jobs that train and evaluate a profile's runs: which runs a job has, what it costs, and which
job starts first."""

from __future__ import annotations

from collections.abc import Iterable

from rungs.errors import ConfigError
from rungs.jobs.cost import of_job
from rungs.jobs.packs import packs
from rungs.models.cost import Cost
from rungs.study.layers import Config
from rungs.study.layout import Layout
from rungs.study.runs import Run, all_runs, parent_of

#: the runs of a job
Members = tuple[Run, ...]


class Plan:
    """The training, prior and evaluation jobs of a configuration.

    A job does one stage of one run or, with ``compute.pack`` above 1, of the runs of a pack. Costs and
    chains of jobs are computed once, since Snakemake asks for them several times a job.

    Args:
        config: a valid configuration.

    Attributes:
        packed: whether jobs work on packs.
        packs: name of each pack -> its runs; empty unless ``packed``.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.packed: bool = config["compute"]["pack"] > 1
        found = packs(config) if self.packed else {}
        self.packs: dict[str, Members] = {name: tuple(runs) for name, runs in found.items()}
        self._pack_of = {run: name for name, runs in self.packs.items() for run in runs}
        #: run -> the runs that continue it
        self._heirs: dict[Run, list[Run]] = {}
        for run in all_runs(config):
            parent = parent_of(config, run)
            if parent is not None:
                self._heirs.setdefault(parent, []).append(run)
        self._costs: dict[Members, Cost] = {}
        self._seconds: dict[tuple[str, Members], float] = {}

    def pack_of(self, run: Run) -> str:
        """The name of the pack that has a run.

        Raises:
            ConfigError: if the configuration does not ask for the run.
        """
        if run not in self._pack_of:
            raise ConfigError(
                f"{run.path}: this configuration does not ask for the run, so no pack has it; "
                "add it to experiments."
            )
        return self._pack_of[run]

    def members(self, run: Run) -> Members:
        """The runs of the job that works on a run, itself among them."""
        return self.packs[self.pack_of(run)] if self.packed else (run,)

    def cost(self, members: Members) -> Cost:
        """The estimated cost of a job's runs."""
        if members not in self._costs:
            self._costs[members] = of_job(self._config, members)
        return self._costs[members]

    def seconds_left(self, stage: str, members: Members) -> float:
        """Estimated seconds of one core from the start of a job to the end of the longest chain of jobs
        that waits for it.

        Args:
            stage: ``train``, ``prior`` or ``evaluate``.
        """
        if (stage, members) not in self._seconds:
            cost = self.cost(members)
            chains = [cost.seconds_from(stage)]
            if stage == "train":
                heirs = {self.members(heir) for run in members for heir in self._heirs.get(run, ())}
                chains += [cost.training_seconds + self.seconds_left("train", h) for h in heirs]
            self._seconds[stage, members] = max(chains)
        return self._seconds[stage, members]

    def priority(self, stage: str, members: Members) -> int:
        """The priority of a job: among the jobs that can start, the one with the longest chain behind it
        does, so that no core is idle in the end."""
        return 1 + round(self.seconds_left(stage, members))

    def classifier_priority(self, dataset: str) -> int:
        """The priority of training a data set's classifier: that of the longest training of a run whose
        evaluation waits for the classifier as well."""
        layout = Layout(self._config["profile"])
        waiting: Iterable[Run] = (
            run
            for run in all_runs(self._config)
            if run.dataset == dataset and layout.classifier_of(self._config, run) is not None
        )
        return max((self.priority("train", self.members(run)) for run in waiting), default=1)
