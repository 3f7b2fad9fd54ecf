"""Where everything lies below ``results/``, and which files a figure or table is made from.

The names of files and folders stand here and nowhere else: rules, jobs and command line ask here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rungs.data import catalogue
from rungs.errors import ConfigError
from rungs.models import entry
from rungs.numerics.seeds import LIKELIHOOD_BLOCK
from rungs.study.layers import Config
from rungs.study.runs import PRIOR_FOLDER, Run, parent_of, shown_runs
from rungs.study.settings import code_prior_settings, evaluation_settings

RESULTS = "results"
RUN_PATTERN = "{dataset}/{variant}/{size}/seed{seed}"
#: the files of a run, in its folder; those of the prior of its codes lie in :data:`PRIOR_FOLDER` below it
WEIGHTS, HISTORY, TRAINING_COST = "weights.safetensors", "training.h5", "training-cost.json"
EVALUATION, EVALUATION_COST = "evaluation.h5", "evaluation-cost.json"
#: how the arrays begin, in the history, of the weights at the end of the schedule, and, in the evaluation,
#: of what was measured on these; of runs that have a continuation
SCHEDULED, BEFORE = "scheduled/", "before/"
#: attribute of the evaluation: the names of the classes, by label, of a data set that has names for them
CLASSES = "classes"
#: stage -> the files that it makes, in the run's folder or the prior's
STAGES = {
    "train": (WEIGHTS, HISTORY, TRAINING_COST),
    "evaluate": (EVALUATION, EVALUATION_COST),
    "prior": (WEIGHTS, HISTORY, TRAINING_COST),
}
#: stage -> its log, in the run's folder or the prior's
LOGS = {"train": "training.log", "evaluate": "evaluation.log", "prior": "training.log"}
#: kind of input -> the files of each run that hold it
RUN_FILES = {
    "training": (HISTORY,),
    "evaluation": (EVALUATION,),
    "cost": (TRAINING_COST, EVALUATION_COST),
}
Files = Mapping[str, Sequence[Path]]


def checkpoint_name(key: str) -> str:
    """The file in a run's folder that an interrupted training of this key continues from.

    >>> checkpoint_name("0123abcd")
    'checkpoint-0123abcd.safetensors'
    """
    return f"checkpoint-{key}.safetensors"


def failure_name(stage: str) -> str:
    """The file in a working folder with the failure of a stage (:mod:`rungs.jobs.failures`).

    >>> failure_name("train")
    'train-failure.txt'
    """
    return f"{stage}-failure.txt"


def shard_name(shard: int | str, count: int | str) -> str:
    """The file in a run's folder with one of ``count`` parts of its likelihood; the part's cost lies
    beside it, with the suffix ``.json``.

    >>> shard_name(0, 4)
    'likelihood-0of4.h5'
    """
    return f"likelihood-{shard}of{count}.h5"


def shard_count(config: Config, run: Run) -> int:
    """The number of parts into which a run's likelihood is split, no more than it has blocks of test
    images; 0 where it is not split."""
    if not entry(config["variants"][run.variant]["model"]).sampled:
        return 0
    available = catalogue(config)[run.dataset].test
    images = min(evaluation_settings(config, run)["images"], available)
    count: int = min(config["compute"]["shards"], -(-images // LIKELIHOOD_BLOCK))
    return count if count > 1 else 0


@dataclass(frozen=True)
class Layout:
    """The paths of one profile's results, relative to the working directory."""

    profile: str

    @property
    def root(self) -> str:
        """``results/<profile>``."""
        return f"{RESULTS}/{self.profile}"

    @staticmethod
    def data(dataset: str) -> str:
        """The prepared data set, shared by all profiles."""
        return f"{RESULTS}/data/{dataset}.h5"

    @staticmethod
    def given(dataset: str) -> str:
        """The images that a program has given as a data set."""
        return f"{RESULTS}/data/{dataset}.npz"

    @staticmethod
    def content(dataset: str) -> str:
        """What is remembered of the content of one's own data (:mod:`rungs.data.content`)."""
        return f"{RESULTS}/data/{dataset}-content.json"

    @staticmethod
    def classifier(dataset: str) -> str:
        """The data set's classifier (see :mod:`rungs.evaluation.classifier`), shared by all profiles."""
        return f"{RESULTS}/data/{dataset}-classifier.safetensors"

    @property
    def runs(self) -> str:
        """The folder of all runs."""
        return f"{self.root}/runs"

    def run(self, run: Run) -> str:
        """The folder of one run."""
        return f"{self.runs}/{run.path}"

    def stage(self, stage: str, path: str) -> str:
        """The folder in which a stage leaves its files: the run's or, of the stage ``prior``, that of the
        prior of its codes.

        Args:
            path: a run's, or :data:`RUN_PATTERN`.
        """
        folder = f"{self.runs}/{path}"
        return f"{folder}/{PRIOR_FOLDER}" if stage == "prior" else folder

    def files(self, stage: str, path: str) -> list[str]:
        """The files that a stage makes of a run.

        >>> Layout("quick").files("evaluate", "mnist5k/vae/depth2/seed0")[0]
        'results/quick/runs/mnist5k/vae/depth2/seed0/evaluation.h5'
        """
        return [f"{self.stage(stage, path)}/{name}" for name in STAGES[stage]]

    def log(self, stage: str, path: str) -> str:
        """The log of a stage of a run."""
        return f"{self.stage(stage, path)}/{LOGS[stage]}"

    def work(self, run: Run) -> str:
        """The working folder of one run, where packs write (see :mod:`rungs.jobs.packs`)."""
        return f"{self.root}/work/{run.path}"

    def working(self, stage: str, run: Run) -> str:
        """The folder below the working folder in which a stage of a run leaves its files."""
        return f"{self.work(run)}/{PRIOR_FOLDER}" if stage == "prior" else self.work(run)

    def failure(self, stage: str, run: Run) -> str:
        """The record that a stage of a run has failed in its pack."""
        return f"{self.working(stage, run)}/{failure_name(stage)}"

    def prior(self, config: Config, run: Run) -> list[str]:
        """Weights and history of the prior of a run's codes; none where it has none."""
        if code_prior_settings(config, run) is None:
            return []
        folder = f"{self.run(run)}/{PRIOR_FOLDER}"
        return [f"{folder}/{WEIGHTS}", f"{folder}/{HISTORY}"]

    def start(self, config: Config, run: Run) -> str | None:
        """The weights from which a run starts: those of the run that it continues, if it continues one."""
        parent = parent_of(config, run)
        return None if parent is None else f"{self.run(parent)}/{WEIGHTS}"

    def classifier_of(self, config: Config, run: Run) -> str | None:
        """The classifier that compares a run's samples.

        None if the evaluation of its model compares no samples, or the images have no classes.
        """
        compared = entry(config["variants"][run.variant]["model"]).classifier
        labelled = catalogue(config)[run.dataset].labelled
        return self.classifier(run.dataset) if compared and labelled else None

    def pack(self, stage: str, name: str) -> str:
        """The mark of a stage of a pack that is done."""
        return f"{self.root}/packs/{stage}/{name}.done"

    def shards(self, config: Config, run: Run) -> list[str]:
        """The parts of a run's likelihood, in its folder or, of a pack, in its working folder; none where it
        is not split."""
        folder = self.work(run) if config["compute"]["pack"] > 1 else self.run(run)
        count = shard_count(config, run)
        return [f"{folder}/{shard_name(i, count)}" for i in range(count)]

    def shard_marks(self, config: Config, run: Run) -> list[str]:
        """The marks that the parts of the likelihood of a run of a pack are done."""
        count = shard_count(config, run)
        return [self.shard_mark(run.path, i, count) for i in range(count)]

    def shard_mark(self, path: str, shard: int | str, count: int | str) -> str:
        """The mark that one of ``count`` parts is done.

        Args:
            path: a run's, or :data:`RUN_PATTERN`.
        """
        return f"{self.root}/packs/likelihood/{path}/{shard}of{count}.done"

    def figure(self, name: str, suffix: str) -> str:
        """A figure's file."""
        return f"{self.root}/figures/{name}{suffix}"

    def table(self, name: str, suffix: str) -> str:
        """A table's file."""
        return f"{self.root}/tables/{name}{suffix}"

    @property
    def calibration(self) -> str:
        """The estimates on the linear Gaussian model."""
        return f"{self.root}/calibration.h5"

    @property
    def crate(self) -> str:
        """The metadata by which the profile's folder is a Workflow Run RO-Crate."""
        return f"{self.root}/ro-crate-metadata.json"

    @property
    def summary(self) -> str:
        """The summary: models, and claims with their parts."""
        return f"{self.root}/summary.txt"

    @property
    def scorecard(self) -> str:
        """The claims and their verdicts, in Markdown."""
        return f"{self.root}/scorecard.md"

    @property
    def report(self) -> str:
        """The report: claims, figures and tables in one page."""
        return f"{self.root}/report.html"

    @property
    def explorer(self) -> str:
        """The networks that the report runs in its page."""
        return f"{self.root}/explorer.json"

    @property
    def workflow_report(self) -> str:
        """Snakemake's own report, of jobs and their times, for those who ask for it."""
        return f"{self.root}/workflow.html"


def inputs(
    config: Config,
    needs: Sequence[str],
    document: str | None = None,
    settings: Config | None = None,
) -> dict[str, list[str]]:
    """The files of each kind that a figure or table needs.

    Args:
        needs: kinds: those of :data:`RUN_FILES`, ``calibration``, or ``table:<id>``.
        document: take the runs of this document only.
        settings: a figure's; where they name ``variants``, ``depths``, ``latents`` or ``codes``, only
            those.

    Raises:
        ConfigError: if a kind is not known.
    """
    layout = Layout(config["profile"])
    found: dict[str, list[str]] = {}
    shown = shown_runs(config, document, settings or {}) if set(needs) & set(RUN_FILES) else []
    for kind in needs:
        if kind in RUN_FILES:
            found[kind] = [f"{layout.run(run)}/{name}" for run in shown for name in RUN_FILES[kind]]
            if kind == "cost":
                found[kind] += [
                    f"{layout.run(run)}/{PRIOR_FOLDER}/{TRAINING_COST}"
                    for run in shown
                    if code_prior_settings(config, run) is not None
                ]
        elif kind == "calibration":
            found[kind] = [layout.calibration]
        elif kind.startswith("table:"):
            found[kind] = [layout.table(kind.removeprefix("table:"), ".csv")]
        else:
            raise ConfigError(
                f"input kind {kind!r} is not known; known are {', '.join(RUN_FILES)}."
            )
    return found
