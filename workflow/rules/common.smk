# What the rules share: the validated configuration, paths, and inputs.

import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from snakemake.exceptions import WorkflowError

from rungs import config as configuration
from rungs import jobs, layout, provenance
from rungs.errors import RungsError
from rungs.figures import FIGURES
from rungs.tables import TABLES

try:
    configuration.validate(config)
except RungsError as error:
    raise WorkflowError(str(error))

LAYOUT = layout.Layout(config["profile"])
jobs.prepare_environment(configuration.freeze(config, f"{LAYOUT.root}/config"))
RUN = f"{LAYOUT.runs}/{layout.RUN_PATTERN}"
THREADS = config["compute"]["threads"]


wildcard_constraints:
    dataset="[A-Za-z0-9_-]+",
    variant="[A-Za-z0-9_-]+",
    depth=r"\d+",
    seed=r"\d+",
    figure="[a-z0-9_]+",
    table="[a-z0-9_]+",


def run_of(wildcards):
    """The run that a job's wildcards name."""
    return configuration.Run(
        wildcards.dataset, wildcards.variant, int(wildcards.depth), int(wildcards.seed)
    )


def spec_of(wildcards):
    """All that training this run rests on: a change makes this run stale and no other."""
    return configuration.resolve(config, run_of(wildcards))


def parent_weights(wildcards):
    """The weights that this run starts from, if its variant continues another."""
    parent = configuration.parent_of(config, run_of(wildcards))
    return (
        {} if parent is None else {"start": f"{LAYOUT.run(parent)}/weights.safetensors"}
    )


def settings_of(wildcards):
    """How this run is evaluated."""
    return configuration.evaluation_settings(config, run_of(wildcards))


def training_code(wildcards):
    """A hash of the modules that training this run rests on."""
    return provenance.training_code(spec_of(wildcards)["model"])


def evaluation_code(wildcards):
    """A hash of the modules that evaluating this run rests on."""
    return provenance.evaluation_code(spec_of(wildcards)["model"])


def figure_inputs(wildcards):
    """The stored results that a figure is drawn from."""
    entry = FIGURES[wildcards.figure]
    settings = config["figures"][wildcards.figure]
    return layout.inputs(config, entry.needs, entry.document, settings)


def table_code(table):
    """A hash of the modules that a table rests on."""
    return provenance.code_hash(TABLES[table].module, *TABLES[table].rests_on)


def table_inputs(wildcards):
    """The stored results that a table is made from."""
    return layout.inputs(config, TABLES[wildcards.table].needs)
