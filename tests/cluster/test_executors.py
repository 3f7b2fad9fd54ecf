"""The other profiles: a submission script of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import copy_workflow
from rungs.paths import ROOT

PROFILE = """
profile: small
experiments:
  ladder:
    - {datasets: [mnist5k], variants: [vae], depths: [2], seeds: [0]}
network: {latent_sizes: [4, 2], hidden_sizes: [16, 8]}
training: {epochs: 2, warm_up_epochs: 1}
evaluation: {samples: 10, images: 50, train_images: 50, unit_samples: 2}
calibration: {images: 20, samples: 10}
"""
#: a scheduler of six lines: notes what it was asked for, and starts the job in the background
SUBMIT = """#!/bin/sh
echo "$@" >> submitted.txt
for script; do :; done
nohup sh "$script" > /dev/null 2>&1 &
echo $!
"""


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "RUNGS_CONFIG")}
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "all", *arguments, "--configfile", "small.yaml"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = copy_workflow(tmp_path)
    (copy / "small.yaml").write_text(PROFILE)
    return copy


def test_a_submission_script(folder: Path) -> None:
    submit = folder / "submit.sh"
    submit.write_text(SUBMIT)
    submit.chmod(0o755)
    done = snakemake(
        folder,
        *("--profile", "workflow/profiles/cluster-generic", "--latency-wait", "5"),
        *("--cluster-generic-submit-cmd", "./submit.sh {rule} {threads} {resources.mem_mb}"),
        *("--cluster-generic-cancel-cmd", "kill"),
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert (folder / "results/small/tables/loglik.csv").is_file()
    submitted = [line.split() for line in (folder / "submitted.txt").read_text().splitlines()]
    assert sorted(line[0] for line in submitted) == ["calibrate", "evaluate", "train"]
    for _, threads, memory, _ in submitted:
        assert int(threads) == 1
        assert 500 <= int(memory) <= 4000


def test_the_published_submission_command(folder: Path) -> None:
    """The command of the profile itself, with a `qsub` of the test's own."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    (bin_folder / "qsub").write_text(SUBMIT)
    (bin_folder / "qsub").chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{bin_folder}:{before}"
    try:
        done = snakemake(
            folder, "--profile", "workflow/profiles/cluster-generic", "--latency-wait", "5"
        )
    finally:
        os.environ["PATH"] = before
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "select=1:ncpus=1:mem=" in (folder / "submitted.txt").read_text()


@pytest.mark.parametrize("name", ["default", "slurm", "sge", "cluster-generic"])
def test_every_profile_has_a_page(name: str) -> None:
    config = yaml.safe_load((ROOT / "workflow/profiles" / name / "config.yaml").read_text())
    assert config["rerun-incomplete"] is True
    page = (ROOT / "docs/profiles" / f"{name}.md").read_text().lower()
    for heading in ("what to edit", "how to start", "how to watch", "how to resume"):
        assert f"## {heading}" in page
