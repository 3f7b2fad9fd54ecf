# What is estimated beside the runs' own evaluations: parts of a likelihood that is split over jobs
# (compute.shards above 1), and the calibration of the estimator.


rule likelihood:
    input:
        weights=f"{RUN}/weights.safetensors",
        history=f"{RUN}/training.h5",
        data="results/data/{dataset}.h5",
    output:
        shard=f"{RUN}/likelihood-{{shard}}of{{shards}}.h5",
        cost=f"{RUN}/likelihood-{{shard}}of{{shards}}.json",
    log:
        f"{RUN}/likelihood-{{shard}}of{{shards}}.log",
    priority: urgency("evaluate")
    conda:
        "../envs/rungs.yaml"
    threads: THREADS
    resources:
        mem_mb=lambda w, attempt: cost.mem_mb(cost_of(w).memory_mb, attempt),
        runtime=lambda w, attempt: cost.runtime_minutes(
            cost_of(w).evaluation_seconds / int(w.shards), attempt
        ),
        disk_mb=lambda w: round(cost_of(w).disk_mb),
    params:
        settings=settings_of,
        code=evaluation_code,
    shell:
        "python -m rungs likelihood --shard {wildcards.shard:q}"
        " {wildcards.dataset:q}/{wildcards.variant:q}/{wildcards.size:q}/seed{wildcards.seed:q}"
        " > {log:q} 2>&1"


rule calibrate:
    output:
        LAYOUT.calibration,
    log:
        f"{LAYOUT.root}/logs/calibrate.log",
    conda:
        "../envs/rungs.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        disk_mb=100,
    params:
        settings=ordered(config["calibration"]),
        code=keys.code_hash("rungs.evaluation.calibration"),
    shell:
        "python -m rungs calibrate > {log:q} 2>&1"
