# Results -> their metadata, by which results/<profile>/ is a Workflow Run RO-Crate. Nothing is made
# from it.


rule crate:
    input:
        unpack(crate_inputs),
        figures=expand(
            LAYOUT.figure("{figure}", "{suffix}"),
            figure=FIGURES,
            suffix=[".png", ".pdf"],
        ),
        tables=expand(
            LAYOUT.table("{table}", "{suffix}"), table=TABLES, suffix=[".csv", ".md"]
        ),
        summary=LAYOUT.summary,
    output:
        metadata=LAYOUT.crate,
        source=expand(
            "{folder}/{file}",
            folder=f"{LAYOUT.root}/{ro_crate.SOURCE}",
            file=ro_crate.workflow_files(),
        ),
    log:
        f"{LAYOUT.root}/logs/crate.log",
    conda:
        "../envs/drawing.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
        disk_mb=50,
    params:
        code=keys.code_hash("rungs.exchange.ro_crate"),
    shell:
        "python -m rungs crate > {log:q} 2>&1"
