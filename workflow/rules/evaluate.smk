# Trained runs -> evaluations, and the calibration of the estimator on a model whose likelihood is known.


# A part of a run's likelihood, where it is split over jobs (compute.shards above 1).
rule likelihood:
    input:
        unpack(part_inputs),
    output:
        part_output(),
    log:
        f"{SHARD}.log",
    priority: urgency("evaluate")
    conda:
        "../envs/rungs.yaml"
    threads: THREADS
    resources:
        mem_mb=memory,
        runtime=minutes("evaluate", share=lambda w: int(w.shards)),
        disk_mb=disk,
    params:
        run=lambda w: run_of(w).path,
        settings=of_job(evaluation),
        code=once_of_job(evaluation_code),
    shell:
        "python -m rungs likelihood --shard {wildcards.shard:q} {params.run:q} > {log:q} 2>&1"


rule evaluate:
    input:
        unpack(evaluation_inputs),
    output:
        job_output("evaluate"),
    log:
        job_log("evaluate"),
    priority: urgency("evaluate")
    conda:
        "../envs/rungs.yaml"
    threads: THREADS
    resources:
        mem_mb=memory,
        runtime=minutes("evaluate"),
        disk_mb=disk,
    params:
        command=job_command("evaluate"),
        settings=of_job(evaluation),
        code=once_of_job(evaluation_code),
    shell:
        "python -m rungs {params.command:q} > {log:q} 2>&1"


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
