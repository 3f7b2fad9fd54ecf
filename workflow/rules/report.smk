# The claims first, and everything in one page.


# Scorecard and report do not name the runs that they read: the tables wait for all of them, and that of
# costs changes with each.
rule scorecard:
    input:
        claims=LAYOUT.table("claims", ".csv"),
        compute=LAYOUT.table("compute", ".csv"),
    output:
        LAYOUT.scorecard,
    log:
        f"{LAYOUT.root}/logs/scorecard.log",
    conda:
        "../envs/drawing.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
        disk_mb=10,
    params:
        code=keys.code_hash("rungs.report.scorecard", *CLAIMS.values()),
    shell:
        "python -m rungs scorecard > {log:q} 2>&1"


# The networks that the page runs. It is the one rule here that needs torch.
rule explorer:
    input:
        explored_inputs,
    output:
        LAYOUT.explorer,
    log:
        f"{LAYOUT.root}/logs/explorer.log",
    conda:
        "../envs/rungs.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
        disk_mb=50,
    params:
        code=keys.code_hash("rungs.report.explorer"),
        runs=[run.path for found in explorer.chosen(config).values() for run in found],
    shell:
        "python -m rungs explorer > {log:q} 2>&1"


rule report:
    input:
        results=rules.results.input,
        explorer=LAYOUT.explorer,
    output:
        LAYOUT.report,
    log:
        f"{LAYOUT.root}/logs/report.log",
    conda:
        "../envs/drawing.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        disk_mb=100,
    params:
        code=keys.code_hash(
            "rungs.report.page", *CLAIMS.values(), *(t.module for t in TABLES.values())
        ),
        # the page shows both
        captions=settings_hash(
            {
                name: [entry.title, entry.look_for, entry.document]
                for name, entry in [*FIGURES.items(), *TABLES.items()]
            }
        ),
        configuration=settings_hash(config),
        templates=file_hashes(
            "src/rungs/report/templates",
            sorted(os.listdir(ROOT / "src/rungs/report/templates")),
        ),
    shell:
        "python -m rungs report > {log:q} 2>&1"


# Snakemake's own report of what `results` asks for, with its view of the workflow: not a part of
# `all`. The second Snakemake reads the configuration that this one was started with, runs nothing,
# and changes no file but the report.
rule workflow_report:
    input:
        rules.results.input,
    output:
        LAYOUT.workflow_report,
    log:
        f"{LAYOUT.root}/logs/workflow-report.log",
    conda:
        "../envs/drawing.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        disk_mb=100,
    params:
        # relative, lest a clone that was moved make its report again
        snakefile=os.path.relpath(workflow.main_snakefile),
    shell:
        'python -m snakemake --snakefile {params.snakefile:q} --configfile "$RUNGS_CONFIG"'
        " --profile none --cores 1"
        " --report {output:q}.part.html -- results > {log:q} 2>&1"
        # Snakemake writes without syncing: a power cut must leave no empty page
        " && sync {output:q}.part.html && mv {output:q}.part.html {output:q}"
