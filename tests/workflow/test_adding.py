"""docs/adding.md: what it says to add is added to a copy of the repository, and runs."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import copy_workflow, run_snakemake
from rungs.paths import ROOT
from rungs.storage import result_file

PAGE = ROOT / "docs" / "adding.md"
BLOCK = re.compile(r'^```\w+ file=(\S+)(?: after="([^"]*)")?\n(.*?)^```$', re.M | re.S)
#: the page's profile, smaller
TINY = """
training: {epochs: 2}
evaluation: {samples: 10, images: 60, train_images: 60, unit_samples: 2}
"""
TARGETS = ("results/mine/tables/loglik.csv", "results/mine/figures/effective_samples.png")


def add(clone: Path, page: str) -> list[Path]:
    """Do what a page says; returns the files that are new."""
    new = []
    blocks = BLOCK.findall(page)
    assert len(blocks) == 13
    for name, after, text in blocks:
        path = clone / name
        if after:
            before = path.read_text()
            assert before.count(f"{after}\n") == 1
            path.write_text(before.replace(f"{after}\n", f"{after}\n{text}"))
            new.append(path)
        else:
            if not path.exists():
                new.append(path)
                path.touch()
            path.write_text(path.read_text() + text)
    return new


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the additions, in which they have run."""
    clone = copy_workflow(tmp_path_factory.mktemp("adding"))
    changed = add(clone, PAGE.read_text())
    (clone / "tiny.yaml").write_text(TINY)
    python = [str(path) for path in changed if path.suffix == ".py"]
    (clone / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for check in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, *python],
            cwd=clone,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
    done = run_snakemake(clone, *TARGETS, "--configfile", "config/mine.yaml", "tiny.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return clone


def test_the_model_is_in_the_table(extended: Path) -> None:
    rows = list(csv.DictReader((extended / TARGETS[0]).open()))
    assert [(row["dataset"], row["variant"]) for row in rows] == [
        ("bars", "gauss"),
        ("bars", "beta4"),
    ]
    assert rows[0]["test_lk"] != rows[1]["test_lk"]
    run = extended / "results/mine/runs/bars/beta4/latent10/seed0/training.h5"
    assert result_file.read(run, only=()).attributes["run"]["network"]["beta"] == 4.0


def test_the_statistic_is_in_the_table(extended: Path) -> None:
    rows = list(csv.DictReader((extended / TARGETS[0]).open()))
    for row in rows:
        elbo = -(float(row["rate"]) + float(row["distortion"]))
        assert elbo == pytest.approx(float(row["test_elbo"]), rel=0.1)
    assert float(rows[1]["rate"]) < float(rows[0]["rate"]), "beta lowers the rate"


def test_a_change_to_the_statistic_evaluates_and_trains_nothing(extended: Path) -> None:
    path = extended / "src/rungs/evaluation/rate.py"
    text = path.read_text()
    path.write_text(text.replace('generator(seed, "rate")', 'generator(seed, "rates")'))
    try:
        done = run_snakemake(
            extended, *TARGETS, "--dry-run", "--configfile", "config/mine.yaml", "tiny.yaml"
        )
    finally:
        path.write_text(text)
    started = re.findall(r"^(?:local)?rule (\w+):", done.stdout, re.M)
    assert (started.count("evaluate"), started.count("train")) == (2, 0)


def test_the_figure_is_drawn(extended: Path) -> None:
    assert (extended / TARGETS[1]).stat().st_size > 5000


def test_a_change_to_the_model_retrains_its_runs_alone(extended: Path) -> None:
    path = extended / "src/rungs/models/beta_vae.py"
    text = path.read_text()
    path.write_text(text.replace("self.beta * kl_weight", "kl_weight * self.beta"))
    try:
        done = run_snakemake(
            extended, *TARGETS, "--dry-run", "--configfile", "config/mine.yaml", "tiny.yaml"
        )
    finally:
        path.write_text(text)
    assert re.findall(r"^rule train:\n(?:.*\n)*?.*variant=([\w-]+)", done.stdout, re.M) == ["beta4"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{bet: 4.0}", "option 'bet' is not known; did you mean 'beta'?"),
        ("{beta: high}", 'variants.beta4.options.beta: found "high": expected a value like 1.0'),
    ],
)
def test_a_wrong_option_is_named(extended: Path, options: str, message: str) -> None:
    (extended / "wrong.yaml").write_text(f"variants: {{beta4: {{options: {options}}}}}\n")
    done = run_snakemake(
        extended, *TARGETS, "--dry-run", "--configfile", "config/mine.yaml", "wrong.yaml"
    )
    assert done.returncode == 1
    assert message in done.stdout + done.stderr


def test_a_figure_without_settings_is_named(extended: Path) -> None:
    """A line of the registry alone: whoever draws or plans is told which key is missing."""
    common = extended / "config/common.yaml"
    text = common.read_text()
    common.write_text(re.sub(r"^  effective_samples: .*\n", "", text, flags=re.M))
    try:
        planned = run_snakemake(extended, "all", "--dry-run", "--configfile", "config/smoke.yaml")
        drawn = subprocess.run(
            [sys.executable, "-m", "rungs", "figure", "effective_samples"],
            cwd=extended,
            env={**os.environ, "PYTHONPATH": str(extended / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        common.write_text(text)
    for done in (planned, drawn):
        assert done.returncode == 1
        assert "configuration key figures.effective_samples is missing" in (
            done.stdout + done.stderr
        )
        assert "Traceback" not in done.stdout + done.stderr
