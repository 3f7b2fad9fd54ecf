# The runs of packs -> files of their own, by a cheap local job a run (compute.pack above 1; see
# rungs/jobs/packs.py).
#
# A pack's job works in the working folders of its runs and marks itself done. So every run stays a
# target of its own, a lost file needs only the copy, and an added run does the others no harm: what is
# complete with the same key is not done again. The mark is no `ancient` input: Snakemake does not look
# at the parameters of jobs behind a job that runs, so that a changed run would not reach its table.
#
# A run that has failed fails here, alone, with what its pack has recorded of it (rungs/jobs/failures.py).
# Where trying again may help, and where a file is missing, the pack is no longer marked as done.


# Copies are not worth a job on a cluster.
localrules:
    export_training,
    export_prior,
    export_evaluation,


# Links where the file system has them. A file that somebody deleted from the working folder is made
# again by its pack, once that is not marked as done.
rule export_training:
    input:
        unpack(training_inputs),
        done=pack_mark("train"),
    output:
        LAYOUT.files("train", layout.RUN_PATTERN),
    log:
        LAYOUT.log("train", layout.RUN_PATTERN),
    priority: copying("train")
    conda:
        "../envs/drawing.yaml"
    resources:
        mem_mb=100,
        runtime=5,
    params:
        work=lambda w: LAYOUT.work(run_of(w)),
        failure=lambda w: LAYOUT.failure("train", run_of(w)),
        settings=of_job(settings),
        code=of_job(training_code),
    shell:
        "if [ -e {params.failure:q} ]; then head -n 1 {params.failure:q} | tee {log:q} >&2;"
        " grep -q '^key: none' {params.failure:q} && rm -f {input.done:q}; exit 1; fi;"
        ' for file in {output:q}; do from={params.work:q}/"$(basename "$file")";'
        ' cp -lf "$from" "$file" 2>{log:q} || cp -f "$from" "$file" 2>{log:q} || {{'
        ' [ -e "$from" ] || {{ rm -f {input.done:q};'
        ' echo "$from: is missing; run the same command again to make it" | tee -a {log:q} >&2; }};'
        " exit 1; }}; done"


use rule export_training as export_prior with:
    input:
        done=pack_mark("prior"),
        history=f"{RUN}/{layout.HISTORY}",
    output:
        LAYOUT.files("prior", layout.RUN_PATTERN),
    log:
        LAYOUT.log("prior", layout.RUN_PATTERN),
    priority: copying("prior")
    params:
        failure=lambda w: LAYOUT.failure("prior", run_of(w)),
        work=lambda w: f"{LAYOUT.work(run_of(w))}/{layout.PRIOR_FOLDER}",
        settings=of_job(prior_settings),
        code=of_job(prior_code),


use rule export_training as export_evaluation with:
    input:
        unpack(evaluation_inputs),
        done=pack_mark("evaluate"),
    output:
        LAYOUT.files("evaluate", layout.RUN_PATTERN),
    log:
        LAYOUT.log("evaluate", layout.RUN_PATTERN),
    priority: copying("evaluate")
    params:
        failure=lambda w: LAYOUT.failure("evaluate", run_of(w)),
        work=lambda w: LAYOUT.work(run_of(w)),
        settings=of_job(evaluation),
        code=of_job(evaluation_code),
