# What the rules share: the package, the configuration, and functions for inputs, parameters,
# priorities and resources.

import functools
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# In a clone the package lies beside the workflow. As a module of another workflow, from a code
# host, these rules come without it.
BESIDE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True), "../../src")
if BESIDE.is_dir():
    sys.path.insert(0, str(BESIDE.resolve()))
try:
    from rungs.paths import IN_CLONE
    from rungs.study.layers import read_file
except ImportError as error:
    raise WorkflowError(
        f"the package rungs is not installed ({error}). Install the version that this workflow is "
        "of, see config/README.md: pip install --editable '<clone>[pipeline]'."
    )
if not IN_CLONE:
    raise WorkflowError(
        "the package rungs is installed from a wheel, without its repository, which the workflow needs; "
        "clone it, and pip install --editable '<clone>[pipeline]'."
    )

modifier = workflow.modifier.path_modifier
while modifier is not None:
    if modifier.prefix or modifier.modifies_prefixes:
        raise WorkflowError(
            "the module rungs takes no prefix: its commands write to results/ in the working folder. "
            "Leave prefix and replace_prefix out, and give the workflow a folder of its own with "
            "--directory."
        )
    modifier = modifier.inner_modifier

from rungs.claims import DOCUMENTS as CLAIMS
from rungs.data import catalogue
from rungs.errors import RungsError
from rungs.exchange import ro_crate
from rungs.figures import FIGURES, figure_settings
from rungs.jobs import cost
from rungs.jobs.environment import prepare_environment
from rungs.jobs.plan import Plan
from rungs.jobs.staleness import file_hashes, ordered, settings_hash
from rungs.paths import ROOT
from rungs.report import explorer
from rungs.study import keys
from rungs.study import layout
from rungs.study import profile
from rungs.study.documents import document_name
from rungs.study.identity import data_source
from rungs.study.runs import SIZES, Run, all_runs, parent_of, runs
from rungs.study.settings import code_prior_settings, evaluation_settings, resolve
from rungs.study.validation import validate
from rungs.tables import TABLES

# --- the configuration ----------------------------------------------------------------------------

try:
    # Snakemake has read them less strictly: a key that is there twice, 010 for 8. Those of a workflow
    # that uses this one as a module are its own.
    if workflow.modifier.is_main_snakefile():
        for path in workflow.configfiles:
            read_file(path)
    config = profile.complete(config)
    validate(config)
    config = profile.with_own_data(config)
    # a figure without settings is named here, not in a traceback of a rule
    for figure in FIGURES:
        figure_settings(config, figure)
except RungsError as error:
    raise WorkflowError(str(error))

DATASETS = catalogue(config)
LAYOUT = layout.Layout(config["profile"])
PLAN = Plan(config)
prepare_environment(profile.freeze(config, f"{LAYOUT.root}/config"))

THREADS = config["compute"]["threads"]
# Some executors take even `gpu=0` for a wish.
GPU = (
    {"gpu": 1, "gpu_manufacturer": "nvidia"}
    if config["compute"]["device"] == "cuda"
    else {}
)
# The priority of short jobs that others wait for.
AT_ONCE = 1_000_000_000


wildcard_constraints:
    dataset="|".join(DATASETS),
    variant="|".join(config["variants"]),
    size="({})[0-9]+".format("|".join(SIZES)),
    seed=r"\d+",
    shard=r"\d+",
    shards=r"\d+",
    pack="[A-Za-z0-9_.-]+",
    figure="|".join(FIGURES),
    table="|".join(TABLES),


# --- runs and jobs --------------------------------------------------------------------------------
#
# A job of train, prior and evaluate does its stage of one run or, with compute.pack above 1, of a pack
# of runs. Its wildcards are those of the run, or {pack}.

RUN = f"{LAYOUT.runs}/{layout.RUN_PATTERN}"
SHARD = f"{RUN}/{layout.shard_name('{shard}', '{shards}')}".removesuffix(".h5")


def run_of(wildcards):
    """The run that a job's wildcards name."""
    return Run.parse(layout.RUN_PATTERN.format(**wildcards))


def members(wildcards):
    """The runs of a job."""
    if "pack" in wildcards.keys():
        return PLAN.packs[wildcards.pack]
    return (run_of(wildcards),)


def pack_mark(stage):
    """An input function: the mark that a stage of a run's pack is done."""

    def mark(wildcards):
        try:
            return LAYOUT.pack(stage, PLAN.pack_of(run_of(wildcards)))
        except RungsError as error:
            raise WorkflowError(str(error))

    return mark


def job_output(stage):
    """The files that a job of a stage makes of its run, or the mark that its pack is done."""
    if PLAN.packed:
        return touch(LAYOUT.pack(stage, "{pack}"))
    return LAYOUT.files(stage, layout.RUN_PATTERN)


def part_output():
    """The files that a part of a run's likelihood is, or the mark that it is done in its pack's folder."""
    if PLAN.packed:
        return touch(LAYOUT.shard_mark(layout.RUN_PATTERN, "{shard}", "{shards}"))
    return multiext(SHARD, ".h5", ".json")


def job_log(stage):
    """The log of a job of a stage."""
    if PLAN.packed:
        return f"{LAYOUT.root}/logs/packs/{stage}-{{pack}}.log"
    return LAYOUT.log(stage, layout.RUN_PATTERN)


def job_command(stage):
    """A parameter: the words after `rungs` that do a stage of a job's runs."""
    if PLAN.packed:
        return lambda wildcards: ["pack", stage, wildcards.pack]
    return lambda wildcards: [stage, run_of(wildcards).path]


# --- inputs ---------------------------------------------------------------------------------------


# The job of a pack waits for the packs of the stages before, not for the exported files of their runs:
# if one of these has failed, the others go on.


def training_inputs(wildcards):
    """The data of a job's runs, and the weights of the runs that they continue."""
    parents = {parent_of(config, run) for run in members(wildcards)} - {None}
    if "pack" in wildcards.keys():
        start = sorted({LAYOUT.pack("train", PLAN.pack_of(run)) for run in parents})
    else:
        start = [f"{LAYOUT.run(run)}/{layout.WEIGHTS}" for run in parents]
    return {"data": data_of(members(wildcards)), "start": start}


def trained_inputs(wildcards):
    """The data of a job's runs, and their weights and histories."""
    if "pack" in wildcards.keys():
        trained = [LAYOUT.pack("train", wildcards.pack)]
    else:
        trained = [
            f"{LAYOUT.run(run_of(wildcards))}/{name}"
            for name in (layout.WEIGHTS, layout.HISTORY)
        ]
    return {"data": data_of(members(wildcards)), "trained": trained}


def part_inputs(wildcards):
    """The data of a run, and its weights and history, or the mark that its pack is trained."""
    if PLAN.packed:
        return {
            "data": data_of(members(wildcards)),
            "trained": pack_mark("train")(wildcards),
        }
    return trained_inputs(wildcards)


def evaluation_inputs(wildcards):
    """The trained runs of a job, and their shards, classifiers and priors where they have any."""
    found = members(wildcards)
    parts = LAYOUT.shard_marks if PLAN.packed else LAYOUT.shards
    classifiers = {LAYOUT.classifier_of(config, run) for run in found}
    prior = [path for run in found for path in LAYOUT.prior(config, run)]
    if prior and "pack" in wildcards.keys():
        prior = [LAYOUT.pack("prior", wildcards.pack)]
    return trained_inputs(wildcards) | {
        "shards": [path for run in found for path in parts(config, run)],
        "classifiers": sorted(classifiers - {None}),
        "prior": prior,
    }


def data_of(found):
    """The data sets of some runs."""
    return sorted({LAYOUT.data(run.dataset) for run in found})


def figure_inputs(wildcards):
    """The stored results that a figure is drawn from."""
    entry = FIGURES[wildcards.figure]
    settings = figure_settings(config, wildcards.figure)
    return layout.inputs(config, entry.needs, entry.document, settings)


def table_inputs(wildcards):
    """The stored results that a table is made from."""
    return layout.inputs(config, TABLES[wildcards.table].needs)


def explored_inputs(wildcards):
    """The trained runs that the report lets its reader explore."""
    return [
        path
        for found in explorer.chosen(config).values()
        for run in found
        for path in LAYOUT.files("train", run.path)[:2]
    ]


def crate_inputs(wildcards):
    """The data, and the files of runs that the tables do not wait for: with thousands of runs each file
    more that a job waits for is felt in the plan."""
    asked = set(runs(config))
    needs = {need for table in TABLES.values() for need in table.needs}
    tabulated = {name for need in needs for name in layout.RUN_FILES.get(need, ())}
    return {
        "data": data_of(all_runs(config)),
        "runs": [
            path
            for run in all_runs(config)
            for stage in (("train", "evaluate") if run in asked else ("train",))
            for path in LAYOUT.files(stage, run.path)
            if run not in asked or Path(path).name not in tabulated
        ],
        "prior": [path for run in asked for path in LAYOUT.prior(config, run)],
    }


# --- parameters: a change makes a job's results stale ---------------------------------------------


# Every job asks for these several times; with thousands of runs the answers are kept.
@functools.cache
def settings(run):
    """The settings of training a run."""
    return ordered(resolve(config, run))


@functools.cache
def prior_settings(run):
    """The settings of training the prior over a run's codes, None where it has none."""
    return ordered(code_prior_settings(config, run))


def evaluation(run):
    """The settings of evaluating a run."""
    return ordered(evaluation_settings(config, run))


def training_code(run):
    """A hash of the code that trains a run."""
    return keys.training_code(settings(run)["model"])


def prior_code(run):
    """A hash of the code that trains the prior over a run's codes, None where it has none."""
    settings = prior_settings(run)
    return None if settings is None else keys.prior_code(settings["model"])


def evaluation_code(run):
    """A hash of the code that evaluates a run."""
    return keys.evaluation_code(settings(run)["model"])


def of_job(function):
    """A parameter: the function's value for each run of a job."""
    return lambda wildcards: [function(run) for run in members(wildcards)]


def once_of_job(function):
    """A parameter: the distinct values of the function for the runs of a job."""
    return lambda wildcards: sorted(set(map(function, members(wildcards))) - {None})


# --- priorities and resources ---------------------------------------------------------------------


def urgency(stage):
    """A priority that starts the job with the longest chain of jobs behind it first. Tables come after
    all of these jobs, and figures last."""

    def priority(wildcards):
        one = members(wildcards)[0]
        return PLAN.priority(stage, PLAN.members(one))

    return priority


def copying(stage):
    """A priority that starts a copy job at once, but that of a run which has failed last: where the
    workflow stops at the first failure, it is not the first again."""

    def priority(wildcards):
        failed = Path(LAYOUT.failure(stage, run_of(wildcards))).exists()
        return 0 if failed else AT_ONCE

    return priority


def memory(wildcards, attempt):
    """Megabytes of memory to ask for; a retry asks for more."""
    return cost.mem_mb(PLAN.cost(members(wildcards)).memory_mb, attempt)


def disk(wildcards):
    """Megabytes of disk to ask for: results, and their temporary files."""
    return round(2 * PLAN.cost(members(wildcards)).disk_mb)


def minutes(stage, share=lambda wildcards: 1):
    """A resource: the minutes to ask for; a retry asks for more.

    Args:
        share: the number of jobs that share the work, from the wildcards.
    """

    def minutes_of_job(wildcards, attempt):
        seconds = PLAN.cost(members(wildcards)).seconds(stage) / share(wildcards)
        return cost.runtime_minutes(seconds, attempt)

    return minutes_of_job


# --- Snakemake's own report -----------------------------------------------------------------------


def registered(wildcards):
    """The registry's entry of a figure or table."""
    names = wildcards.keys()
    return FIGURES[wildcards.figure] if "figure" in names else TABLES[wildcards.table]


def document_of(wildcards):
    """The report's category of a figure or table: its document."""
    return document_name(registered(wildcards).document)


def labels_of(wildcards):
    """How the report lists a figure or table."""
    return {"name": wildcards[0], "shows": registered(wildcards).title}
