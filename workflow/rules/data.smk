# Raw data -> one HDF5 file a data set, and the classifier by which its samples are compared.


rule prepare:
    output:
        LAYOUT.data("{dataset}"),
    log:
        "results/data/{dataset}.log",
    priority: AT_ONCE
    conda:
        "../envs/rungs.yaml"
    resources:
        mem_mb=lambda w, attempt: max(
            2000, cost.mem_mb(cost.preparation_mb(DATASETS[w.dataset]), attempt)
        ),
        runtime=lambda w, attempt: cost.LEAST_MINUTES * attempt,
        disk_mb=500,
    params:
        source=lambda w: data_source(config, w.dataset),
        code=lambda w: keys.code_hash(DATASETS[w.dataset].module),
    shell:
        "python -m rungs prepare {wildcards.dataset:q} > {log:q} 2>&1"


rule classifier:
    input:
        data=LAYOUT.data("{dataset}"),
    output:
        weights=LAYOUT.classifier("{dataset}"),
    log:
        "results/data/{dataset}-classifier.log",
    priority: lambda w: PLAN.classifier_priority(w.dataset)
    conda:
        "../envs/rungs.yaml"
    resources:
        mem_mb=lambda w, attempt: max(
            3000, cost.mem_mb(cost.classifier_mb(DATASETS[w.dataset]), attempt)
        ),
        runtime=lambda w, attempt: cost.classifier_minutes(DATASETS[w.dataset], attempt),
        disk_mb=500,
    params:
        code=keys.code_hash("rungs.evaluation.classifier"),
    shell:
        "python -m rungs classifier {wildcards.dataset:q} > {log:q} 2>&1"
