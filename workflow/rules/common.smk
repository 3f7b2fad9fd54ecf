# What the rules share: the validated configuration, paths, and inputs.

import functools
import json
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
    from rungs.study.layers import COMMON
except ImportError as error:
    raise WorkflowError(
        f"the package rungs is not installed ({error}). Install the version that this workflow is "
        "of, see config/README.md: pip install --editable 'git+<repository>@<tag>#egg=rungs'."
    )
if not COMMON.is_file():
    raise WorkflowError(
        f"{COMMON} is missing: rungs needs its repository; install it with "
        "pip install --editable 'git+<repository>@<tag>#egg=rungs'."
    )

from rungs.paths import ROOT
from rungs.report import captions
from rungs.jobs import cost
from rungs.jobs import environment as jobs
from rungs.exchange import ro_crate as metadata
from rungs.errors import RungsError
from rungs.jobs import packs as packing
from rungs.claims import DOCUMENTS as CLAIMS
from rungs.data import catalogue
from rungs.figures import FIGURES
from rungs.figures import settings_of as figure_settings
from rungs.storage.atomic import sha256
from rungs.study import code_prior_settings as priors
from rungs.study import documents
from rungs.study import layout
from rungs.study import profile
from rungs.study import keys
from rungs.study.runs import SIZES, Run, all_runs, parent_of, runs
from rungs.study.settings import evaluation_settings, resolve
from rungs.study.validation import validate
from rungs.tables import TABLES

try:
    config = profile.complete(config)
    validate(config)
    config.update(profile.with_own_data(config))
    CAPTIONS = captions.captions(config)
except RungsError as error:
    raise WorkflowError(str(error))

DATASETS = catalogue(config)
LAYOUT = layout.Layout(config["profile"])
jobs.prepare_environment(profile.freeze(config, f"{LAYOUT.root}/config"))
# Of all that is ours, the report's templates see the configuration alone. Not a part of it: it has
# been validated and frozen, and no rule has the captions of figures among its parameters.
config["captions"] = CAPTIONS
RUN = f"{LAYOUT.runs}/{layout.RUN_PATTERN}"
THREADS = config["compute"]["threads"]
# Some executors take even `gpu=0` for a wish.
GPU = (
    {"gpu": 1, "gpu_manufacturer": "nvidia"}
    if config["compute"]["device"] == "cuda"
    else {}
)
PACKS = packing.packs(config) if config["compute"]["pack"] > 1 else {}
PACK_OF = {run: name for name, members in PACKS.items() for run in members}
# run -> those that continue it
HEIRS = {}
for heir in all_runs(config):
    HEIRS.setdefault(parent_of(config, heir), []).append(heir)
# The priority of what takes a moment, and what others wait for.
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


def run_of(wildcards):
    """The run that a job's wildcards name; a run is its own."""
    if isinstance(wildcards, Run):
        return wildcards
    return Run.parse(layout.RUN_PATTERN.format(**wildcards))


def ordered(value):
    """The same settings with sorted keys: to Snakemake another order is another parameter, and the
    order depends on how many files a configuration was layered from."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    return [ordered(item) for item in value] if isinstance(value, list) else value


# Every job asks for these several times; with thousands of runs the answers are kept.
@functools.cache
def resolved(run):
    """All that training a run rests on."""
    return ordered(resolve(config, run))


@functools.cache
def estimated(run):
    """The estimated cost of a run."""
    return cost.estimate(config, run)


def spec_of(wildcards):
    """All that training this run rests on: a change makes this run stale and no other."""
    return resolved(run_of(wildcards))


def settings_of(wildcards):
    """How this run is evaluated."""
    return ordered(evaluation_settings(config, run_of(wildcards)))


def training_code(wildcards):
    """A hash of the modules that training this run rests on."""
    return keys.training_code(spec_of(wildcards)["model"])


def evaluation_code(wildcards):
    """A hash of the modules that evaluating this run rests on."""
    return keys.evaluation_code(spec_of(wildcards)["model"])


def prior_spec_of(wildcards):
    """All that training the prior of this run's codes rests on besides the trained run."""
    return ordered(priors.prior_spec(config, run_of(wildcards)))


def prior_code(wildcards):
    """A hash of the modules that training the prior of this run's codes rests on."""
    spec = prior_spec_of(wildcards)
    return keys.prior_code(spec["model"])


def prior_files(wildcards):
    """The prior of this run's codes, where it has one."""
    return LAYOUT.prior(config, run_of(wildcards))


def parent_weights(wildcards):
    """The weights that this run starts from, if its variant continues another."""
    parent = parent_of(config, run_of(wildcards))
    return (
        {} if parent is None else {"start": f"{LAYOUT.run(parent)}/weights.safetensors"}
    )


def classifier_of(wildcards):
    """The classifier by which the run's samples are compared, if it has one."""
    classifier = LAYOUT.classifier_of(config, run_of(wildcards))
    return {} if classifier is None else {"classifier": classifier}


def cost_of(wildcards):
    """The estimated cost of a run."""
    return estimated(run_of(wildcards))


def pack_cost(wildcards):
    """The estimated cost of a pack."""
    return cost.together([cost_of(run) for run in PACKS[wildcards.pack]])


def companions(run):
    """The runs that a run shares its jobs with, itself among them."""
    return tuple(PACKS[pack_of(run)]) if PACKS else (run,)


@functools.cache
def seconds_left(stage, members):
    """Estimated seconds of one core from the start of a stage of some runs to the end of the longest
    chain of jobs that waits for it."""
    total = cost.together([estimated(run) for run in members])
    chains = [total.seconds_from(stage)]
    if stage == "train":
        heirs = {companions(heir) for run in members for heir in HEIRS.get(run, ())}
        chains += [total.training_seconds + seconds_left("train", h) for h in heirs]
    return max(chains)


def urgency(stage):
    """A priority: of the jobs that can start, that with the longest chain behind it does, so that no
    core is idle in the end. Tables come after all of them, and figures last."""

    def priority(wildcards):
        if "pack" in wildcards.keys():
            members = tuple(PACKS[wildcards.pack])
        else:
            members = companions(run_of(wildcards))
        return 1 + round(seconds_left(stage, members))

    return priority


def classifier_urgency(wildcards):
    """The priority of a classifier: that of the longest training, which evaluations wait for as well."""
    seconds = [
        seconds_left("train", companions(run))
        for run in all_runs(config)
        if run.dataset == wildcards.dataset and classifier_of(run)
    ]
    return 1 + round(max(seconds, default=0))


def resource_hashes(names):
    """Hashes of files of the clone's resources/. As inputs they would have to be in the store of
    a workflow that has one."""
    folder = ROOT / "resources"
    return [sha256((folder / name).read_bytes())[:16] for name in names]


def data_source(wildcards):
    """What a prepared data set rests on besides code: the embedded file, or a fingerprint of one's
    own images and their settings."""
    found = config.get("datasets", {}).get(wildcards.dataset, {}).get("found")
    if found is not None:
        return [found["fingerprint"]]
    return resource_hashes(["mnist5k.h5"] if wildcards.dataset == "mnist5k" else [])


def pack_of(wildcards):
    """The pack of a run."""
    run = run_of(wildcards)
    if run not in PACK_OF:
        raise WorkflowError(
            f"{run.path}: this configuration does not ask for the run, so no pack has it; "
            "add it to experiments."
        )
    return PACK_OF[run]


def work_of(wildcards):
    """The working folder of a run in a pack."""
    return LAYOUT.work(run_of(wildcards))


def likelihood_shards(wildcards):
    """The parts of a run's likelihood, where it is split over jobs."""
    return LAYOUT.shards(config, run_of(wildcards))


def pack_training_inputs(wildcards):
    """Data of a pack's runs, and the weights that they start from."""
    members = PACKS[wildcards.pack]
    parents = [parent_weights(run) for run in members]
    return {
        "data": sorted({LAYOUT.data(run.dataset) for run in members}),
        "start": [weights for parent in parents for weights in parent.values()],
    }


def pack_evaluation_inputs(wildcards):
    """Trained runs of a pack, their data, and the parts of their likelihoods."""
    members = PACKS[wildcards.pack]
    return {
        "data": sorted({LAYOUT.data(run.dataset) for run in members}),
        "trained": [
            f"{LAYOUT.run(run)}/{name}"
            for run in members
            for name in ("weights.safetensors", "training.h5")
        ],
        "shards": [path for run in members for path in likelihood_shards(run)],
        "classifiers": sorted(
            {path for run in members for path in classifier_of(run).values()}
        ),
        "prior": [path for run in members for path in prior_files(run)],
    }


def pack_prior_inputs(wildcards):
    """Trained runs of a pack whose codes have a prior, and their data."""
    found = pack_evaluation_inputs(wildcards)
    return {name: found[name] for name in ("data", "trained")}


def figure_inputs(wildcards):
    """The stored results that a figure is drawn from."""
    entry = FIGURES[wildcards.figure]
    settings = figure_settings(config, wildcards.figure)
    return layout.inputs(config, entry.needs, entry.document, settings)


def registered(wildcards):
    """The registry's entry of a figure or table."""
    names = wildcards.keys()
    return FIGURES[wildcards.figure] if "figure" in names else TABLES[wildcards.table]


def document_of(wildcards):
    """The report's category of a figure or table: its document."""
    return documents.document_name(registered(wildcards).document)


def labels_of(wildcards):
    """How the report lists a figure or table."""
    return {"name": wildcards[0], "shows": registered(wildcards).title}


def workflow_hashes(names):
    """Hashes of files of the clone's workflow/ that are read when the report is made."""
    folder = ROOT / "workflow"
    return [sha256((folder / name).read_bytes())[:16] for name in names]


def table_code(table):
    """A hash of the modules that a table rests on."""
    return keys.code_hash(TABLES[table].module, *TABLES[table].rests_on)


def every_run(wildcards):
    """Training and evaluation of every run."""
    return layout.inputs(config, ("training", "evaluation"))


def table_inputs(wildcards):
    """The stored results that a table is made from."""
    return layout.inputs(config, TABLES[wildcards.table].needs)


def crate_inputs(wildcards):
    """Besides figures and tables, what a profile's metadata lists."""
    trained, evaluated = all_runs(config), runs(config)
    return {
        "data": sorted({LAYOUT.data(run.dataset) for run in trained}),
        "trained": [
            f"{LAYOUT.run(run)}/{name}"
            for run in trained
            for name in layout.STAGES["train"]
        ],
        "evaluated": [
            f"{LAYOUT.run(run)}/{name}"
            for run in evaluated
            for name in layout.STAGES["evaluate"]
        ],
        "prior": [path for run in evaluated for path in prior_files(run)],
    }
