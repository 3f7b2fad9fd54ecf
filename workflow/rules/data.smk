# Raw data -> one HDF5 file a data set, and the classifier by which its samples are compared.


rule prepare:
    output:
        "results/data/{dataset}.h5",
    log:
        "results/data/{dataset}.log",
    priority: AT_ONCE
    conda:
        "../envs/rungs.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        disk_mb=500,
    params:
        source=data_source,
        code=lambda w: keys.code_hash(DATASETS[w.dataset].module),
    shell:
        "python -m rungs prepare {wildcards.dataset:q} > {log:q} 2>&1"


rule classifier:
    input:
        data="results/data/{dataset}.h5",
    output:
        weights="results/data/{dataset}-classifier.safetensors",
    log:
        "results/data/{dataset}-classifier.log",
    priority: classifier_urgency
    conda:
        "../envs/rungs.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
        disk_mb=500,
    params:
        code=keys.code_hash("rungs.evaluation.classifier"),
    shell:
        "python -m rungs classifier {wildcards.dataset:q} > {log:q} 2>&1"
