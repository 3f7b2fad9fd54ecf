"""Two machines that share a folder over the network, under Slurm and by hand; one dies while it trains."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import network_folder
import pytest
import slurm_cluster
from small_profile import assert_same_results, quiet_results, snakemake

from conftest import copy_workflow
from rungs.storage.beacon import read_beacon
from rungs.storage.process import DEAD_AFTER_SECONDS
from rungs.storage.tensors import load_tensors

NODES = ("node1", "node2")
#: one run a job and, below, one core a node, so that both nodes train; a checkpoint after every epoch
PROFILE = """
profile: small
experiments:
  ladder:
    - {datasets: [mnist5k], variants: [vae], depths: [2], seeds: [0, 1]}
network: {latent_sizes: [8, 4], hidden_sizes: [64, 32]}
training: {epochs: 80, warm_up_epochs: 5}
evaluation: {samples: 20, images: 100, train_images: 100, unit_samples: 2}
calibration: {images: 20, samples: 10}
compute: {checkpoint_minutes: 0.001}
"""
RUNS = "results/small/runs"
RESUMED = re.compile(r"resumed after epoch (\d+)")


def training(folder: Path, process: subprocess.Popen[str]) -> Path:
    """Wait until a run in training has checkpoints; return its folder.

    Args:
        process: without which there would be none.
    """
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        for path in (folder / RUNS).glob("**/checkpoint-*"):
            beacon = read_beacon(path.parent)
            if beacon is not None and beacon.get("epoch", 0) > 2:
                return path.parent
        time.sleep(0.1)
    process.kill()
    pytest.fail(f"no run was caught in training:\n{process.communicate()[0][-6000:]}")


def epochs_saved(run: Path) -> int:
    """The epochs in a run's checkpoint."""
    (path,) = run.glob("checkpoint-*")
    return max(
        len(tensor) for name, tensor in load_tensors(path)[0].items() if name.startswith("history/")
    )


def left_by_the_dead(run: Path, seconds: float) -> int:
    """The epochs in the checkpoint of a run whose machine has died.

    Args:
        seconds: for which its lock counts from now, where it would count for minutes.
    """
    time.sleep(1)  # the server still writes what it has received
    touched = time.time() - DEAD_AFTER_SECONDS + seconds
    os.utime(run / ".lock", (touched, touched))
    return epochs_saved(run)


def test_the_job_of_a_dead_node_continues_on_the_other(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """The power of a node fails while it trains: Slurm notices, starts the job on the other node, and the
    results have the bytes of a quiet workstation."""
    with (
        network_folder.served(tmp_path, tmp_path_factory.mktemp("keys")) as on_machine,
        slurm_cluster.started(
            tmp_path_factory.mktemp("slurm"), NODES, cpus=1, timeout=5, on_node=on_machine
        ) as nodes,
    ):
        expected = quiet_results(PROFILE, runs=2)
        folder = copy_workflow(tmp_path)
        (folder / "small.yaml").write_text(PROFILE)
        process = snakemake(folder, *slurm_cluster.SUBMISSION, on_machine=on_machine("login"))
        try:
            run = training(folder, process)
            seed = run.name.removeprefix("seed")
            ((number, job),) = (
                (number, job)
                for number, job in slurm_cluster.jobs().items()
                if job["Comment"].endswith(f"train_wildcards_mnist5k_vae_depth2_{seed}")
            )
            dead = job["BatchHost"]
            nodes[dead].kill()
            nodes[dead].wait()
            saved = left_by_the_dead(run, seconds=45)
            beacon = read_beacon(run)
            assert beacon is not None
            assert beacon["epoch"] <= saved + 1
            slurm_cluster.hasten(number, 60)
            output = process.communicate(timeout=400)[0]
        finally:
            process.kill()
        assert process.returncode == 0, output[-6000:]
        job = slurm_cluster.jobs()[number]
        assert job["BatchHost"] in set(NODES) - {dead}
        assert job["Restarts"] == "1"
        resumed = RESUMED.search((run / "training.log").read_text())
        assert resumed is not None
        assert int(resumed[1]) == saved
        assert_same_results(folder, expected)


def test_a_run_is_refused_while_another_machine_trains_it(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """By hand, without a scheduler: refused while the first machine lives, continued when that is dead."""
    with network_folder.served(tmp_path, tmp_path_factory.mktemp("keys")) as on_machine:
        folder = copy_workflow(tmp_path)
        (folder / "small.yaml").write_text(PROFILE.replace("epochs: 80", "epochs: 20000"))
        rungs = [sys.executable, "-m", "rungs"]
        prepare = [*rungs, "prepare", "mnist5k", "--config", "small.yaml"]
        subprocess.run(prepare, cwd=folder, check=True, capture_output=True)
        train = [*rungs, "train", "mnist5k/vae/depth2/seed0", "--config", "small.yaml"]

        def started(command: Sequence[str]) -> subprocess.Popen[str]:
            return subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )

        first = started([*on_machine("one"), *train])
        other = started([*on_machine("two"), "sleep", "infinity"])
        try:
            run = training(folder, first)
            beacon = read_beacon(run)
            assert beacon is not None
            refused = started([*network_folder.inside(other, folder), *train])
            told = refused.communicate(timeout=120)[0]
            assert refused.returncode == 1
            assert "waiting for a sign of its life" in told
            assert f"is being written by process {beacon['process']} on" in told
            assert first.poll() is None
            # the other machine's mount remembers a checkpoint that is smaller than the last
            looked = started([*network_folder.inside(other, folder), "ls", "-l", str(run)])
            assert "checkpoint-" in looked.communicate(timeout=60)[0]
            remembered = epochs_saved(run)
            while first.poll() is None and epochs_saved(run) <= remembered:
                time.sleep(0.1)
            first.kill()
            first.wait()
            saved = left_by_the_dead(run, seconds=30)
            again = started([*network_folder.inside(other, folder), *train])
            assert again.stdout is not None
            told = ""
            for line in again.stdout:
                told += line
                if RESUMED.search(line):
                    break
            assert "waiting for a sign of its life" in told
            assert f"resumed after epoch {saved}\n" in told
        finally:
            for machine in (first, other):
                machine.kill()
                machine.wait()
