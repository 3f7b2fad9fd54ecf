"""The stages of the workflow: the command that a rule runs, and what it makes."""

from __future__ import annotations

from dataclasses import dataclass

from place import rungs

RUNS = "results/faults/runs/mnist5k"
#: other names of the files of single runs
LINKS = "results/faults/work/mnist5k"
#: the working folders of packs
WORK = "results/faults-packs/work/mnist5k"
LADDER, VQ = "lvae-bn-wu/depth2/seed0", "vq/codes16/seed0"
TRAINED = ("weights.safetensors", "training.h5", "training-cost.json")
EVALUATED = ("evaluation.h5", "evaluation-cost.json")


@dataclass(frozen=True)
class Stage:
    """A stage.

    Attributes:
        name: of the stage in the count; several commands may be of one.
        makes: patterns of the files that the command makes.
        exports: what is made of these by copying, where that is another command's work.
    """

    name: str
    command: tuple[str, ...]
    makes: tuple[str, ...]
    exports: tuple[str, ...] = ()


def _stage(
    name: str, *verb: str, makes: tuple[str, ...], profile: str = "faults", **more: tuple[str, ...]
) -> Stage:
    return Stage(name, tuple(rungs(*verb, profile=profile)), makes, **more)


def _in(folder: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


def _made(run: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """What a command makes of a run: its files, and their other names, which it would take over."""
    return _in(f"{RUNS}/{run}", names) + _in(f"{LINKS}/{run}", names)


STAGES = {
    "prepare": _stage("data", "prepare", "mnist5k", makes=("results/data/mnist5k.h5",)),
    "classifier": _stage(
        "data", "classifier", "mnist5k", makes=("results/data/mnist5k-classifier.safetensors",)
    ),
    "train": _stage("train, one run", "train", f"mnist5k/{LADDER}", makes=_made(LADDER, TRAINED)),
    "train-vq": _stage(
        "train, VQ and its prior", "train", f"mnist5k/{VQ}", makes=_made(VQ, TRAINED)
    ),
    "prior": _stage(
        "train, VQ and its prior", "prior", f"mnist5k/{VQ}", makes=_made(VQ, ("prior",))
    ),
    "pack-train": _stage(
        "train, pack and ensemble",
        *("pack", "train", "mnist5k.vae.0.0000"),
        profile="faults-packs",
        makes=tuple(f"{WORK}/vae/depth2/seed{seed}/{n}" for seed in (0, 1) for n in TRAINED),
        exports=(f"{WORK.replace('work', 'runs')}/vae/depth2",),
    ),
    "pack-prior": _stage(
        "train, pack and ensemble",
        *("pack", "prior", "mnist5k.vq.0.0000"),
        profile="faults-packs",
        makes=(f"{WORK}/{VQ}/prior",),
        exports=(f"{WORK.replace('work', 'runs')}/{VQ}/prior",),
    ),
    "shard": _stage(
        "evaluate, shards and merge",
        *("likelihood", "--shard", "1", f"mnist5k/{LADDER}"),
        makes=(f"{RUNS}/{LADDER}/likelihood-1of2.*[n5]",),
    ),
    "merge": _stage(
        "evaluate, shards and merge",
        *("evaluate", f"mnist5k/{LADDER}"),
        makes=_made(LADDER, EVALUATED),
    ),
    "pack-evaluate": _stage(
        "evaluate, pack",
        *("pack", "evaluate", "mnist5k.vae.0.0000"),
        profile="faults-packs",
        makes=tuple(f"{WORK}/vae/depth2/seed{seed}/{n}" for seed in (0, 1) for n in EVALUATED),
        exports=tuple(
            f"{WORK.replace('work', 'runs')}/vae/depth2/seed{seed}/{n}"
            for seed in (0, 1)
            for n in EVALUATED
        ),
    ),
    "calibrate": _stage("calibration", "calibrate", makes=("results/faults/calibration.h5",)),
    "figure": _stage(
        "figures", "figure", "ladder_loglik", makes=("results/faults/figures/ladder_loglik.*",)
    ),
    "pictures": _stage(
        "figures", "figure", "vq_samples", makes=("results/faults/figures/vq_samples.*",)
    ),
    "table": _stage("tables", "table", "loglik", makes=("results/faults/tables/loglik.*",)),
    "claims": _stage("tables", "table", "claims", makes=("results/faults/tables/claims.*",)),
    "scorecard": _stage("report, crate", "scorecard", makes=("results/faults/scorecard.*",)),
    "summary": _stage("report, crate", "summary", makes=("results/faults/summary.txt",)),
    "crate": _stage(
        "report, crate",
        "crate",
        makes=("results/faults/ro-crate-metadata.json", "results/faults/source"),
    ),
    "explorer": _stage("report, crate", "explorer", makes=("results/faults/explorer.json",)),
    "report": _stage("report, crate", "report", makes=("results/faults/report.html",)),
}
