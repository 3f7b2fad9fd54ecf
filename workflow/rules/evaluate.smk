# Trained runs -> what is measured on them.


rule evaluate:
    input:
        weights=f"{RUN}/weights.safetensors",
        history=f"{RUN}/training.h5",
        data="results/data/{dataset}.h5",
    output:
        evaluation=f"{RUN}/evaluation.h5",
        cost=f"{RUN}/evaluation-cost.json",
    log:
        f"{RUN}/evaluation.log",
    conda:
        "../../envs/rungs.yaml"
    threads: THREADS
    resources:
        mem_mb=2000,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        settings=settings_of,
        code=evaluation_code,
    shell:
        "python -m rungs evaluate"
        " {wildcards.dataset}/{wildcards.variant}/depth{wildcards.depth}/seed{wildcards.seed}"
        " > {log} 2>&1"


rule calibrate:
    output:
        LAYOUT.calibration,
    log:
        f"{LAYOUT.root}/logs/calibrate.log",
    conda:
        "../../envs/rungs.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=config["calibration"],
        code=provenance.code_hash("rungs.evaluation.calibration"),
    shell:
        "python -m rungs calibrate > {log} 2>&1"
