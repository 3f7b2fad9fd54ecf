# Stored results -> tables, and the summary of both.


rule table:
    input:
        unpack(table_inputs),
    output:
        csv=report(
            LAYOUT.table("{table}", ".csv"),
            category=document_of,
            subcategory="Tables",
            labels=labels_of,
        ),
        md=LAYOUT.table("{table}", ".md"),
    log:
        f"{LAYOUT.root}/logs/tables/{{table}}.log",
    # before the figures: the summary and the report wait for the claims
    priority: 1
    conda:
        "../envs/drawing.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        disk_mb=500,
    params:
        code=lambda w: keys.code_hash(TABLES[w.table].module, *TABLES[w.table].rests_on),
        resources=lambda w: file_hashes("resources", TABLES[w.table].resources),
    shell:
        "python -m rungs table {wildcards.table:q} > {log:q} 2>&1"


rule summary:
    input:
        loglik=LAYOUT.table("loglik", ".csv"),
        active=LAYOUT.table("active_units", ".csv"),
        claims=LAYOUT.table("claims", ".csv"),
    output:
        LAYOUT.summary,
    log:
        f"{LAYOUT.root}/logs/summary.log",
    conda:
        "../envs/drawing.yaml"
    resources:
        mem_mb=500,
        runtime=10,
        disk_mb=10,
    params:
        code=keys.code_hash("rungs.report.summary"),
    shell:
        "python -m rungs summary > {log:q} 2>&1"
