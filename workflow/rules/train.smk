# Data -> trained runs, and the priors over the codes of those with discrete latents.
#
# Checkpoints are no outputs: Snakemake deletes the outputs of a job that dies. The shell is replaced by
# the training process, which thus receives signals itself and saves its state.


rule train:
    input:
        unpack(training_inputs),
    output:
        job_output("train"),
    log:
        job_log("train"),
    priority: urgency("train")
    conda:
        "../envs/rungs.yaml"
    threads: THREADS
    resources:
        **GPU,
        mem_mb=memory,
        runtime=minutes("train"),
        disk_mb=disk,
    params:
        command=job_command("train"),
        settings=of_job(settings),
        code=once_of_job(training_code),
    shell:
        "exec python -m rungs {params.command:q} > {log:q} 2>&1"


rule prior:
    input:
        unpack(trained_inputs),
    output:
        job_output("prior"),
    log:
        job_log("prior"),
    priority: urgency("prior")
    conda:
        "../envs/rungs.yaml"
    threads: THREADS
    resources:
        **GPU,
        mem_mb=memory,
        runtime=minutes("prior"),
        disk_mb=disk,
    params:
        command=job_command("prior"),
        settings=of_job(prior_settings),
        code=once_of_job(prior_code),
    shell:
        "exec python -m rungs {params.command:q} > {log:q} 2>&1"
