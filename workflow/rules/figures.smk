# Stored results -> figures. One rule for all: a figure is a module and a registry line.


rule figure:
    input:
        unpack(figure_inputs),
    output:
        png=report(
            LAYOUT.figure("{figure}", ".png"),
            category=document_of,
            subcategory="Figures",
            labels=labels_of,
        ),
        pdf=LAYOUT.figure("{figure}", ".pdf"),
    log:
        f"{LAYOUT.root}/logs/figures/{{figure}}.log",
    conda:
        "../envs/drawing.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        disk_mb=500,
    params:
        settings=lambda w: ordered(figure_settings(config, w.figure)),
        code=lambda w: keys.code_hash(FIGURES[w.figure].module),
        resources=lambda w: file_hashes("resources", FIGURES[w.figure].resources),
    shell:
        "python -m rungs figure {wildcards.figure:q} > {log:q} 2>&1"
