"""The workflow, end to end, as a user runs it: results, staleness, errors."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from conftest import run_snakemake
from rungs.figures import FIGURES
from rungs.tables import TABLES

LOGLIK_COLUMNS = {
    *("dataset", "variant", "depth", "seed", "parameters", "epochs", "train_elbo", "test_elbo"),
    *("k", "test_lk", "test_lk_se", "converged", "published", "published_checked"),
}
RUNS = "results/tiny/runs/mnist5k"
#: tables of models with one stochastic layer, which this profile does not have
ONE_LAYER = {"linear_probe", "autoencoder"}


@pytest.fixture(scope="module")
def finished(tiny_workflow: Path) -> Path:
    """A clone in which the tiny profile has run."""
    return tiny_workflow / "clone"


def snakemake(folder: Path, *arguments: str) -> CompletedProcess[str]:
    return run_snakemake(folder, *arguments, "--configfile", "tiny.yaml")


def planned(folder: Path) -> set[str]:
    """The jobs of a dry run: rule, and the variant or id it is for."""
    done = snakemake(folder, "all", "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = set()
    for block in re.split(r"\n(?=\[)", done.stdout):
        rule = re.search(r"^(?:local)?rule (\w+):", block, re.M)
        wildcards = re.search(r"(?:variant|figure|table|dataset)=([\w-]+)", block)
        named = re.search(r"variant=([\w-]+)", block) or wildcards
        if rule:
            jobs.add(f"{rule[1]} {named[1]}" if named else rule[1])
    return jobs - {"all"}


def test_everything_is_there(finished: Path) -> None:
    for figure in FIGURES:
        for suffix in (".png", ".pdf"):
            assert (finished / f"results/tiny/figures/{figure}{suffix}").stat().st_size > 1000
    for table in TABLES:
        rows = list(csv.DictReader((finished / f"results/tiny/tables/{table}.csv").open()))
        assert rows or table in (*ONE_LAYER, "vq"), table
        assert (finished / f"results/tiny/tables/{table}.md").read_text().count("\n") == len(
            rows
        ) + 2
    assert "lvae-bn-wu" in (finished / "results/tiny/summary.txt").read_text()
    columns = next(csv.reader((finished / "results/tiny/tables/loglik.csv").open()))
    assert set(columns) >= LOGLIK_COLUMNS


def test_nothing_is_to_be_done_twice(finished: Path) -> None:
    done = snakemake(finished, "all")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_nothing_is_stale_to_a_workflow_started_with_the_frozen_configuration(
    finished: Path,
) -> None:
    """As the one is that makes the report."""
    (frozen,) = (finished / "results/tiny/config").glob("*.json")
    done = run_snakemake(
        finished, "results", "--dry-run", "--configfile", str(frozen.relative_to(finished))
    )
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_deleted_figure_is_remade_alone(finished: Path) -> None:
    target = finished / "results/tiny/figures/ladder_loglik.png"
    before = target.read_bytes()
    target.unlink()
    assert planned(finished) == {"figure ladder_loglik", "report"}
    done = snakemake(finished, "results/tiny/figures/ladder_loglik.png")
    assert done.returncode == 0
    assert target.read_bytes() == before
    assert planned(finished) == set()


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


#: figures that show the first seed only
FIRST_SEED = {
    *("figure active_units_history", "figure ladder_kl_history", "figure ladder_pca"),
    *("figure ladder_samples", "figure ladder_reconstructions"),
}
#: what is made from the table of claims
CLAIMED = {"summary", "scorecard", "report"}
FROM_LOGLIK = {"figure ladder_loglik", "figure ladder_depth"}
LADDER_FIGURES = {f"figure {f}" for f, e in FIGURES.items() if e.document in ("ladder", None)}
DOWNSTREAM = LADDER_FIGURES | {f"table {t}" for t in TABLES} | CLAIMED


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        (
            "config/common.yaml",
            "ladder_ablation: {width: 5.0",
            "ladder_ablation: {width: 4.0",
            {"figure ladder_ablation", "report"},
        ),
        (
            "src/rungs/figures/active_units_history.py",
            "linthresh=1",
            "linthresh=2",
            {"figure active_units_history", "report"},
        ),
        (
            "src/rungs/models/ladder.py",
            "layers.insert(0, Layer(",
            "layers.insert(0 + 0, Layer(",
            {"train lvae-bn-wu", "evaluate lvae-bn-wu", *DOWNSTREAM},
        ),
        (
            "tiny.yaml",
            "samples: 10, images: 50",
            "samples: 20, images: 50",
            {"evaluate vae", "evaluate lvae-bn-wu", *DOWNSTREAM}
            - {"figure active_units_history", "figure ladder_kl_history"},
        ),
        (
            "tiny.yaml",
            "seeds: [0]",
            "seeds: [0, 1]",
            {
                "train vae",
                "evaluate vae",
                "train lvae-bn-wu",
                "evaluate lvae-bn-wu",
                *DOWNSTREAM,
            }
            - FIRST_SEED,
        ),
        (
            "resources/published.csv",
            "-82.12",
            "-82.13",
            {"table loglik", "table active_units", "table claims", *CLAIMED, *FROM_LOGLIK},
        ),
        (
            "src/rungs/figures/__init__.py",
            "Whether samples look like the data",
            "Whether samples resemble the data",
            {"report"},
        ),
        ("workflow/report/caption.rst", "*Shown*", "*Runs*", {"report"}),
        ("src/rungs/models/vae.py", '"""Each layer', '"""Every layer', set()),
    ],
)
def test_what_a_change_makes_stale(
    finished: Path, file: str, old: str, new: str, expected: set[str]
) -> None:
    path = finished / file
    text = path.read_text()
    change(path, old, new)
    try:
        assert planned(finished) == expected
    finally:
        path.write_text(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs: 2", "epoch: 2", "unknown key 'epoch'; did you mean 'epochs'?"),
        ("[mnist5k]", "[mnist5]", "data set 'mnist5' is not known; did you mean 'mnist5k'?"),
    ],
)
def test_a_mistake_ends_before_anything_runs(
    finished: Path, old: str, new: str, message: str
) -> None:
    path = finished / "tiny.yaml"
    text = path.read_text()
    change(path, old, new)
    try:
        done = snakemake(finished, "all")
    finally:
        path.write_text(text)
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_damaged_results_are_named(finished: Path) -> None:
    path = finished / RUNS / "vae/depth5/seed0/evaluation.h5"
    content = path.read_bytes()
    path.write_bytes(content[:-200])
    try:
        done = snakemake(finished, "results/tiny/tables/loglik.csv", "--force")
    finally:
        path.write_bytes(content)
    assert done.returncode == 1
    assert re.search(
        r"vae/depth5/seed0/evaluation\.h5: the file is damaged", done.stdout + done.stderr
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert snakemake(finished, "all").returncode == 0
