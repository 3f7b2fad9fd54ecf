# The claims first, and everything in one page.


rule scorecard:
    input:
        unpack(every_run),
        claims=LAYOUT.table("claims", ".csv"),
    output:
        md=LAYOUT.scorecard(".md"),
        html=LAYOUT.scorecard(".html"),
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


# Snakemake's own report of what `results` asks for. The second Snakemake reads the configuration
# that this one was started with, runs nothing, and changes no file but the report.
rule report:
    input:
        rules.results.input,
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
        captions=settings_hash(CAPTIONS),
        templates=file_hashes(
            "workflow/report", ["caption.rst", "front.rst", "style.css"]
        ),
        # relative, lest a clone that was moved make its report again
        snakefile=os.path.relpath(workflow.main_snakefile),
        style=os.path.relpath(ROOT / "workflow" / "report" / "style.css"),
    shell:
        'python -m snakemake --snakefile {params.snakefile:q} --configfile "$RUNGS_CONFIG"'
        " --profile none --cores 1"
        " --report {output:q}.part.html --report-stylesheet {params.style:q} -- results > {log:q} 2>&1"
        # Snakemake writes without syncing: a power cut must leave no empty page
        " && sync {output:q}.part.html && mv {output:q}.part.html {output:q}"
