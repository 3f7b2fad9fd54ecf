"""Packs and shards: fewer, larger jobs; more, smaller ones; the same bytes."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from conftest import copy_workflow, run_snakemake
from rungs.jobs import cost
from rungs.jobs.packs import packs
from rungs.paths import ROOT
from rungs.study import profile as configuration
from rungs.study.runs import all_runs, parent_of, runs
from rungs.tables import read_rows

TINY = """
profile: tiny
experiments:
  ladder:
    - {datasets: [mnist5k], variants: [vae, lvae-bn-wu-iw10], depths: [1, 2], seeds: [0]}
network: {latent_sizes: [4, 2], hidden_sizes: [16, 8]}
training: {epochs: 2, warm_up_epochs: 1}
variants: {lvae-bn-wu-iw10: {training: {epochs: 1}}}
evaluation: {samples: 10, images: 120, train_images: 50, unit_samples: 2}
"""

#: rests on every run, and draws no figure
TABLE = "results/tiny/tables/loglik.csv"


def with_pack(config: dict[str, Any], size: int) -> dict[str, Any]:
    return config | {"compute": config["compute"] | {"pack": size}}


@pytest.fixture(scope="module")
def paper() -> dict[str, Any]:
    return configuration.load([ROOT / "config" / "paper.yaml"])


def test_the_longest_chain_of_jobs_is_started_first(tmp_path: Path) -> None:
    """By the plan of the default profile."""
    planned = run_snakemake(copy_workflow(tmp_path), "all", "--dry-run")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    job = r"rule (\w+):(?:\n    .*)*?\n    wildcards: pack=(.*)\n    priority: (\d+)"
    urgency = {(stage, pack): int(n) for stage, pack, n in re.findall(job, planned.stdout)}
    config = configuration.load([ROOT / "config" / "quick.yaml"])
    found = packs(config)
    pack_of = {run: pack for pack, runs in found.items() for run in runs}
    heirs: dict[str, set[str]] = {}
    for run, pack in pack_of.items():
        parent = parent_of(config, run)
        if parent is not None:
            heirs.setdefault(pack_of[parent], set()).add(pack)
    assert heirs
    total = {
        pack: cost.together([cost.estimate(config, run) for run in runs])
        for pack, runs in found.items()
    }
    assert {pack for _, pack in urgency} == set(found)
    for (stage, pack), n in urgency.items():
        chains = [total[pack].seconds_from(stage)]
        if stage == "train":
            waiting = [total[heir].seconds_from("train") for heir in heirs.get(pack, ())]
            chains += [total[pack].training_seconds + seconds for seconds in waiting]
        assert n == 1 + round(max(chains)), (stage, pack)
    copies = re.findall(
        r"rule export_evaluation:(?:\n    .*)*?\n    priority: (\d+)", planned.stdout
    )
    assert len(copies) > 50
    assert min(map(int, copies)) > max(urgency.values())


def test_a_run_that_the_profile_does_not_list_is_a_target(tmp_path: Path) -> None:
    """By its path, where each run is a job of its own; a pack would have to be made of it."""
    clone = copy_workflow(tmp_path)
    target = "runs/mnist5k/vae/depth3/seed7/evaluation.h5"
    smoke = ("--configfile", "config/smoke.yaml", "--dry-run")
    alone = run_snakemake(clone, f"results/smoke/{target}", *smoke)
    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert re.findall(r"^rule (\w+):", alone.stdout, re.M) == ["prepare", "train", "evaluate"]
    packed = run_snakemake(clone, f"results/quick/{target}", "--dry-run")
    assert packed.returncode == 1
    assert "vae/depth3/seed7: this configuration does not ask for the run" in packed.stdout


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_every_run_is_in_one_pack(paper: dict[str, Any], size: int) -> None:
    found = packs(with_pack(paper, size))
    members = [run for pack in found.values() for run in pack]
    assert sorted(members) == sorted(all_runs(paper))
    assert all(1 <= len(pack) <= size for pack in found.values())
    for pack in found.values():
        assert len({(run.dataset, paper["variants"][run.variant]["model"]) for run in pack}) == 1
        parents = {parent_of(paper, run) for run in pack}
        assert not parents & set(pack), "a run would wait for its own pack"


def test_continued_runs_are_trained_though_not_asked_for(smoke_config: dict[str, Any]) -> None:
    config = copy.deepcopy(smoke_config)
    config["experiments"] = {"ladder": config["experiments"]["ladder"]}
    config["experiments"]["ladder"][0]["variants"] = ["lvae-bn-wu-iw10"]
    assert {run.variant for run in runs(config)} == {"lvae-bn-wu-iw10"}
    assert {run.variant for run in all_runs(config)} == {"lvae-bn-wu-iw10", "lvae-bn-wu"}


def results(folder: Path) -> dict[str, bytes]:
    runs = folder / "results/tiny/runs"
    names = ("weights.safetensors", "training.h5", "evaluation.h5")
    return {str(p.relative_to(runs)): p.read_bytes() for n in names for p in runs.glob(f"**/{n}")}


def test_packs_and_shards_give_the_same_bytes(tmp_path: Path) -> None:
    folders = {}
    for name, compute in (("single", "{pack: 1}"), ("packed", "{pack: 3, shards: 2}")):
        folder = copy_workflow(tmp_path / name)
        (folder / "tiny.yaml").write_text(TINY + f"compute: {compute}\n")
        done = run_snakemake(folder, TABLE, "--configfile", "tiny.yaml")
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        folders[name] = folder
    single, packed = results(folders["single"]), results(folders["packed"])
    adopting = folders["single"]
    # a data set that is prepared again has the same content: nothing is trained or evaluated again
    run, data = "results/tiny/runs/mnist5k/vae/depth2/seed0", adopting / "results/data/mnist5k.h5"
    data.unlink()
    targets = ("results/data/mnist5k.h5", f"{run}/evaluation.h5")
    done = run_snakemake(adopting, *targets, "--configfile", "tiny.yaml")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert "rule train" in done.stdout + done.stderr
    for log, told in (("training.log", "is trained"), ("evaluation.log", "is evaluated")):
        assert f"{told}\n" in (adopting / run / log).read_text()
    assert results(adopting) == single
    done = run_snakemake(adopting, f"{run}/evaluation.h5", "--configfile", "tiny.yaml")
    assert "Nothing to be done" in done.stdout + done.stderr
    (adopting / "tiny.yaml").write_text(TINY + "compute: {pack: 2}\n")
    done = run_snakemake(adopting, TABLE, "--configfile", "tiny.yaml", "--forceall")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    for log in (adopting / "results/tiny/logs/packs").glob("train-*.log"):
        assert "epoch 1/2" not in log.read_text(), "trained again"
    assert results(adopting) == single
    # the two runs that were only there to be continued are trained, not evaluated
    assert len(single) == 4 * 3 + 2 * 2
    assert single == packed
    folder = folders["packed"]

    def again(target: str = TABLE) -> str:
        done = run_snakemake(folder, target, "--configfile", "tiny.yaml")
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout + done.stderr

    assert "Nothing to be done" in again()
    # a lost file needs only the copy
    lost = "results/tiny/runs/mnist5k/vae/depth2/seed0/evaluation.h5"
    (folder / lost).unlink()
    output = again(lost)
    assert re.findall(r"^(?:local)?rule (\w+):", output, re.M) == ["export_evaluation"]
    # a changed setting reaches the table at once
    text = (folder / "tiny.yaml").read_text()
    (folder / "tiny.yaml").write_text(text.replace("samples: 10", "samples: 8"))
    assert (folder / "tiny.yaml").read_text() != text
    assert "rule table" in again()
    assert {row["k"] for row in read_rows(folder / TABLE)} == {"8"}
    (folder / "tiny.yaml").write_text(text)
    again()
    assert "Nothing to be done" in again()
    assert results(folder) == packed
    # an added seed skips what is finished, though it shifts the packs
    text = (folder / "tiny.yaml").read_text()
    (folder / "tiny.yaml").write_text(text.replace("seeds: [0]", "seeds: [0, 1]"))
    # a file that is written again is another; Snakemake touches those that it copies
    files = {p: p.stat().st_ino for p in folder.glob("results/tiny/work/**/*.h5")}
    output = again()
    assert all(p.stat().st_ino == before for p, before in files.items())
    logs = (folder / "results/tiny/logs/packs").glob("train-*.log")
    assert any("seed0: is trained" in log.read_text() for log in logs)
    assert {k: v for k, v in results(folder).items() if "seed0" in k} == packed
