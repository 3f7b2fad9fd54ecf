# Data -> trained runs, one job a run. With compute.pack above 1, packs.smk takes this file's place.
#
# Checkpoints are no outputs: Snakemake deletes the outputs of a job that dies. The shell is
# replaced by the training process, which thus receives signals itself and saves its state.


rule train:
    input:
        unpack(parent_weights),
        data="results/data/{dataset}.h5",
    output:
        weights=f"{RUN}/weights.safetensors",
        history=f"{RUN}/training.h5",
        cost=f"{RUN}/training-cost.json",
    log:
        f"{RUN}/training.log",
    priority: urgency("train")
    conda:
        "../envs/rungs.yaml"
    threads: THREADS
    resources:
        **GPU,
        mem_mb=lambda w, attempt: cost.mem_mb(cost_of(w).memory_mb, attempt),
        runtime=lambda w, attempt: cost.runtime_minutes(
            cost_of(w).training_seconds, attempt
        ),
        disk_mb=lambda w: round(2 * cost_of(w).disk_mb),
    params:
        spec=spec_of,
        code=training_code,
    shell:
        "exec python -m rungs train"
        " {wildcards.dataset:q}/{wildcards.variant:q}/{wildcards.size:q}/seed{wildcards.seed:q}"
        ' > >(trap "" TERM INT USR1; exec tee {log:q}) 2>&1'


# The prior over the codes of a run with discrete latents: see rungs/study/code_prior_settings.py.
rule prior:
    input:
        weights=f"{RUN}/weights.safetensors",
        history=f"{RUN}/training.h5",
        data="results/data/{dataset}.h5",
    output:
        weights=f"{RUN}/prior/weights.safetensors",
        history=f"{RUN}/prior/training.h5",
        cost=f"{RUN}/prior/training-cost.json",
    log:
        f"{RUN}/prior/training.log",
    priority: urgency("prior")
    conda:
        "../envs/rungs.yaml"
    threads: THREADS
    resources:
        **GPU,
        mem_mb=lambda w, attempt: cost.mem_mb(cost_of(w).memory_mb, attempt),
        runtime=lambda w, attempt: cost.runtime_minutes(
            cost_of(w).prior_seconds, attempt
        ),
        disk_mb=lambda w: round(2 * cost_of(w).disk_mb),
    params:
        spec=prior_spec_of,
        code=prior_code,
    shell:
        "exec python -m rungs prior"
        " {wildcards.dataset:q}/{wildcards.variant:q}/{wildcards.size:q}/seed{wildcards.seed:q}"
        ' > >(trap "" TERM INT USR1; exec tee {log:q}) 2>&1'


rule evaluate:
    input:
        unpack(classifier_of),
        weights=f"{RUN}/weights.safetensors",
        history=f"{RUN}/training.h5",
        data="results/data/{dataset}.h5",
        shards=likelihood_shards,
        prior=prior_files,
    output:
        evaluation=f"{RUN}/evaluation.h5",
        cost=f"{RUN}/evaluation-cost.json",
    log:
        f"{RUN}/evaluation.log",
    priority: urgency("evaluate")
    conda:
        "../envs/rungs.yaml"
    threads: THREADS
    resources:
        mem_mb=lambda w, attempt: cost.mem_mb(cost_of(w).memory_mb, attempt),
        runtime=lambda w, attempt: cost.runtime_minutes(
            cost_of(w).evaluation_seconds, attempt
        ),
        disk_mb=lambda w: round(2 * cost_of(w).disk_mb),
    params:
        settings=settings_of,
        code=evaluation_code,
    shell:
        "python -m rungs evaluate"
        " {wildcards.dataset:q}/{wildcards.variant:q}/{wildcards.size:q}/seed{wildcards.seed:q}"
        " > {log:q} 2>&1"
