# Data -> trained and evaluated runs, many in one job (compute.pack above 1; see rungs/jobs/packs.py).
#
# A pack's job writes into the working folders of its runs and marks itself done; a cheap local job
# a run exports that run's files. The mark is `ancient` to the export: a pack that ran again because
# one of its runs changed leaves the exports of the others as they are.


# Links where the file system has them. A file that somebody deleted from the working folder is made
# again by its pack, once that is not marked as done.
EXPORT = (
    'for file in {output:q}; do from={params.work:q}/"$(basename "$file")";'
    ' cp -lf "$from" "$file" 2>{log:q} || cp -f "$from" "$file" 2>{log:q} || {{'
    ' [ -e "$from" ] || {{ rm -f {input.done:q};'
    ' echo "$from: is missing; run the same command again to make it" | tee -a {log:q} >&2; }};'
    " exit 1; }}; done"
)


# Copies are not worth a job on a cluster.
localrules:
    train,
    prior,
    evaluate,


rule train_pack:
    input:
        unpack(pack_training_inputs),
    output:
        touch(LAYOUT.pack("train", "{pack}")),
    log:
        f"{LAYOUT.root}/logs/packs/train-{{pack}}.log",
    priority: urgency("train")
    conda:
        "../envs/rungs.yaml"
    threads: THREADS
    resources:
        **GPU,
        mem_mb=lambda w, attempt: cost.mem_mb(pack_cost(w).memory_mb, attempt),
        runtime=lambda w, attempt: cost.runtime_minutes(
            pack_cost(w).training_seconds, attempt
        ),
        disk_mb=lambda w: round(2 * pack_cost(w).disk_mb),
    params:
        specs=lambda w: [spec_of(run) for run in PACKS[w.pack]],
        code=lambda w: sorted({training_code(run) for run in PACKS[w.pack]}),
    shell:
        "exec python -m rungs pack train {wildcards.pack:q}"
        ' > >(trap "" TERM INT USR1; exec tee {log:q}) 2>&1'


rule train:
    input:
        done=ancient(lambda w: LAYOUT.pack("train", pack_of(w))),
        data="results/data/{dataset}.h5",
    output:
        weights=f"{RUN}/weights.safetensors",
        history=f"{RUN}/training.h5",
        cost=f"{RUN}/training-cost.json",
    log:
        f"{RUN}/training.log",
    priority: AT_ONCE
    conda:
        "../envs/rungs.yaml"
    resources:
        mem_mb=100,
        runtime=5,
    params:
        spec=spec_of,
        code=training_code,
        work=work_of,
    shell:
        EXPORT


rule prior_pack:
    input:
        unpack(pack_prior_inputs),
    output:
        touch(LAYOUT.pack("prior", "{pack}")),
    log:
        f"{LAYOUT.root}/logs/packs/prior-{{pack}}.log",
    priority: urgency("prior")
    conda:
        "../envs/rungs.yaml"
    threads: THREADS
    resources:
        **GPU,
        mem_mb=lambda w, attempt: cost.mem_mb(pack_cost(w).memory_mb, attempt),
        runtime=lambda w, attempt: cost.runtime_minutes(
            pack_cost(w).prior_seconds, attempt
        ),
        disk_mb=lambda w: round(2 * pack_cost(w).disk_mb),
    params:
        specs=lambda w: [prior_spec_of(run) for run in PACKS[w.pack]],
        code=lambda w: sorted(
            {prior_code(run) for run in PACKS[w.pack] if prior_files(run)}
        ),
    shell:
        "exec python -m rungs pack prior {wildcards.pack:q}"
        ' > >(trap "" TERM INT USR1; exec tee {log:q}) 2>&1'


rule prior:
    input:
        done=ancient(lambda w: LAYOUT.pack("prior", pack_of(w))),
        history=f"{RUN}/training.h5",
    output:
        weights=f"{RUN}/prior/weights.safetensors",
        history=f"{RUN}/prior/training.h5",
        cost=f"{RUN}/prior/training-cost.json",
    log:
        f"{RUN}/prior/training.log",
    priority: AT_ONCE
    conda:
        "../envs/rungs.yaml"
    resources:
        mem_mb=100,
        runtime=5,
    params:
        spec=prior_spec_of,
        code=prior_code,
        work=lambda w: f"{work_of(w)}/prior",
    shell:
        EXPORT


rule evaluate_pack:
    input:
        unpack(pack_evaluation_inputs),
    output:
        touch(LAYOUT.pack("evaluate", "{pack}")),
    log:
        f"{LAYOUT.root}/logs/packs/evaluate-{{pack}}.log",
    priority: urgency("evaluate")
    conda:
        "../envs/rungs.yaml"
    threads: THREADS
    resources:
        mem_mb=lambda w, attempt: cost.mem_mb(pack_cost(w).memory_mb, attempt),
        runtime=lambda w, attempt: cost.runtime_minutes(
            pack_cost(w).evaluation_seconds, attempt
        ),
        disk_mb=lambda w: round(2 * pack_cost(w).disk_mb),
    params:
        settings=lambda w: [settings_of(run) for run in PACKS[w.pack]],
        code=lambda w: sorted({evaluation_code(run) for run in PACKS[w.pack]}),
    shell:
        "python -m rungs pack evaluate {wildcards.pack:q} > {log:q} 2>&1"


rule evaluate:
    input:
        unpack(classifier_of),
        done=ancient(lambda w: LAYOUT.pack("evaluate", pack_of(w))),
        history=f"{RUN}/training.h5",
        data="results/data/{dataset}.h5",
        prior=prior_files,
    output:
        evaluation=f"{RUN}/evaluation.h5",
        cost=f"{RUN}/evaluation-cost.json",
    log:
        f"{RUN}/evaluation.log",
    priority: AT_ONCE
    conda:
        "../envs/rungs.yaml"
    resources:
        mem_mb=100,
        runtime=5,
    params:
        settings=settings_of,
        code=evaluation_code,
        work=work_of,
    shell:
        EXPORT
