"""A small profile that the tests run on a scheduler, disturb there, and compare with a quiet local run."""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from conftest import copy_workflow

PROFILE = """
profile: small
experiments:
  ladder:
    - {datasets: [mnist5k], variants: [vae, lvae-bn-wu], depths: [2], seeds: [0, 1]}
network: {latent_sizes: [8, 4], hidden_sizes: [64, 32]}
training: {epochs: 60, warm_up_epochs: 5}
evaluation: {samples: 20, images: 100, train_images: 100, unit_samples: 2}
calibration: {images: 20, samples: 10}
compute: {pack: 2, shards: 2, checkpoint_minutes: 0.001}
"""
RUNS = 4
#: rests on every run; the figures would be drawn beside the jobs and show nothing here
LOGLIK = "results/small/tables/loglik.csv"
RESULTS = ("weights.safetensors", "training.h5", "evaluation.h5")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def ask(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout


def snakemake(
    folder: Path, *arguments: str, on_machine: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """Start the workflow in ``folder``.

    Args:
        on_machine: the beginning of the command, where it does not run on this machine as it is.
    """
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "RUNGS_CONFIG")}
    command = [sys.executable, "-m", "snakemake", LOGLIK, *arguments, "--configfile", "small.yaml"]
    return subprocess.Popen(
        [*on_machine, *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@functools.cache
def quiet_results(profile: str = PROFILE, runs: int = RUNS) -> dict[str, bytes]:
    """A profile of so many runs, run locally, undisturbed, one run a job and one likelihood a run."""
    with tempfile.TemporaryDirectory() as empty:
        folder = copy_workflow(Path(empty))
        unpacked = profile.replace("pack: 2", "pack: 1").replace("shards: 2", "shards: 1")
        (folder / "small.yaml").write_text(unpacked)
        process = snakemake(folder, "--cores", "2")
        output = process.communicate(timeout=600)[0]
        assert process.returncode == 0, output
        found = contents(folder)
    assert len(found) == runs * len(RESULTS)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    runs = folder / "results/small/runs"
    return {
        str(path.relative_to(runs)): path.read_bytes()
        for name in RESULTS
        for path in sorted(runs.glob(f"**/{name}"))
    }


def trainers(folder: Path, variable: str) -> dict[str, psutil.Process]:
    """Job number -> the process that trains, once there is a checkpoint.

    Args:
        variable: that in which the scheduler gives a job its number.
    """
    found = {}
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if (
            process.info["cwd"] == str(folder)
            and (process.info["cmdline"] or [])[1:5] == ["-m", "rungs", "pack", "train"]
            and list((folder / "results/small/work").glob("**/checkpoint-*"))
        ):
            with suppress(psutil.Error):  # it has just ended
                found[process.environ().get(variable, "")] = process
    return found


def run_disturbed(
    folder: Path,
    variable: str,
    requeue: Callable[[str], None],
    kill: Callable[[psutil.Process], None],
    *arguments: str,
) -> None:
    """Run the profile on a scheduler; send one training job back to the queue, and kill another.

    Args:
        folder: a copy of the workflow.
        variable: that in which the scheduler gives a job its number.
        requeue: sends a job back, by its number.
        kill: kills a job, by its training process.
        arguments: Snakemake's.
    """
    (folder / "small.yaml").write_text(PROFILE)
    process = snakemake(folder, *arguments)
    requeued = killed = ""
    deadline = time.monotonic() + 400
    try:
        while process.poll() is None and time.monotonic() < deadline:
            for job, trainer in trainers(folder, variable).items():
                if not requeued:
                    requeued = job
                    requeue(job)
                    break
                if not killed and job != requeued:
                    killed = job
                    kill(trainer)
                    break
            time.sleep(0.3)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)[0]
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 0, output[-6000:]
    assert requeued, "no job was caught running"
    assert killed, "no second job was caught running"


def assert_same_results(folder: Path, expected: dict[str, bytes]) -> None:
    found = contents(folder)
    assert found.keys() == expected.keys()
    differing = [name for name in expected if found[name] != expected[name]]
    assert not differing
