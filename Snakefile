# rungs: replicate variational autoencoders, from data to figures, tables and claims.
#
#   snakemake --cores 8 all                                   the default profile, config/config.yaml
#   snakemake --cores 8 all --configfile config/smoke.yaml    another one
#   snakemake --cores 8 results/quick/figures/ladder_loglik.png
#   snakemake --cores 8 results/quick/workflow.html           Snakemake's own report, after `all`

from pathlib import Path

from snakemake.utils import min_version

min_version("9.17")  # functions for priorities


# Another profile takes the default's place instead of being laid over it. Either is laid over
# config/common.yaml, in common.smk. In a working folder without a default profile of its own, that
# of the clone counts.
if "profile" not in config and Path("config/config.yaml").is_file():

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"


if PLAN.packed:

    include: "workflow/rules/export.smk"


include: "workflow/rules/figures.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/crate.smk"


rule results:
    input:
        expand(
            LAYOUT.figure("{figure}", "{suffix}"),
            figure=FIGURES,
            suffix=[".png", ".pdf"],
        ),
        expand(
            LAYOUT.table("{table}", "{suffix}"),
            table=TABLES,
            suffix=[".csv", ".md"],
        ),
        LAYOUT.summary,
        LAYOUT.scorecard,


include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.results.input,
        LAYOUT.report,
        LAYOUT.crate,


# On a cluster these are not worth a job.
localrules:
    all,
    results,
    prepare,
    figure,
    table,
    summary,
    scorecard,
    explorer,
    report,
    workflow_report,
    crate,


onstart:
    # For its limit of 100 jobs a second Snakemake looks at all waiting jobs again every second,
    # once more for every job that has ended: soon that takes half a core from the training.
    if not workflow.non_local_exec:
        workflow.scheduler.job_rate_limiter = None


onsuccess:
    # where the summary was asked for; who makes one figure wants to see its path
    if any(job.rule.name == "summary" for job in workflow.dag.jobs):
        # not imported at every start: it takes a third of a second
        from rungs.report.summary import closing

        print(f"\n{closing(config)}")
