# rungs: replicate variational autoencoders, from data to figures, tables and claims.
#
#   snakemake --cores 8 all                                   the default profile, config/quick.yaml
#   snakemake --cores 8 all --configfile config/smoke.yaml    another one
#   snakemake --cores 8 results/quick/figures/ladder_loglik.png

from snakemake.utils import min_version

min_version("9.0")


configfile: "config/common.yaml"


if "profile" not in config:

    configfile: "config/quick.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"


if PACKS:

    include: "workflow/rules/packs.smk"

else:

    include: "workflow/rules/train.smk"


include: "workflow/rules/evaluate.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/crate.smk"


rule all:
    default_target: True
    input:
        expand(
            LAYOUT.figure("{figure}", "{suffix}"),
            figure=FIGURES,
            suffix=[".png", ".pdf"],
        ),
        expand(
            LAYOUT.table("{table}", "{suffix}"), table=TABLES, suffix=[".csv", ".md"]
        ),
        LAYOUT.summary,
        LAYOUT.crate,


# On a cluster these are not worth a job.
localrules:
    all,
    prepare,
    figure,
    table,
    summary,
    crate,


onsuccess:
    if Path(LAYOUT.summary).exists():
        print(f"\n{Path(LAYOUT.summary).read_text()}")
