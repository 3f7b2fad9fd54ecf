# Data -> trained runs.
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
    conda:
        "../../envs/rungs.yaml"
    threads: THREADS
    resources:
        mem_mb=2000,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        spec=spec_of,
        code=training_code,
    shell:
        "exec python -m rungs train"
        " {wildcards.dataset}/{wildcards.variant}/depth{wildcards.depth}/seed{wildcards.seed}"
        ' > >(trap "" TERM INT; exec tee {log}) 2>&1'
