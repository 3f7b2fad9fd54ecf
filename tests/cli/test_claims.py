"""``rungs claims``: the stored table, and the same claims decided again with other seeds."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from rungs.cli import cli
from rungs.errors import RungsError
from rungs.storage import result_file
from rungs.study.profile import load
from rungs.study.runs import Run
from rungs.study.settings import resolve

PROFILE = """
profile: small
experiments:
  ladder:
    - {datasets: [mnist5k], variants: [vae, vae-bn, vae-bn-wu], depths: [5], seeds: [0, 1, 2]}
"""
Rungs = Callable[..., Result]


@pytest.fixture
def rungs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rungs:
    """The command line in a folder with the profile ``small.yaml``; a user's mistake is its exception."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNGS_CONFIG", raising=False)
    Path("small.yaml").write_text(PROFILE)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, [*arguments, "--config", "small.yaml"])

    return run


def make_runs(profile: str, seeds: tuple[int, ...], gain: float) -> None:
    """Evaluated runs whose L_k gains so much by batch norm, and nothing by warm-up."""
    config = load([Path("small.yaml")])
    for seed in seeds:
        for variant, lk in (("vae", -100.0), ("vae-bn", -100 + gain), ("vae-bn-wu", -100 + gain)):
            run = Run("mnist5k", variant, 5, seed)
            folder = Path(f"results/{profile}/runs/{run.path}")
            images = np.linspace(-20, 20, 50) + 0.02 * np.random.default_rng(seed).normal()
            attributes = {"run": resolve(config, run)}
            arrays = {"test/lk": lk + images * (1 if variant == "vae" else 1.001)}
            result_file.write(folder / "training.h5", {}, attributes)
            arrays |= {f"before/{name}": array for name, array in arrays.items()}
            result_file.write(folder / "evaluation.h5", arrays, attributes)


def count_rows(stem: str) -> int:
    with Path(f"{stem}.csv").open() as file:
        return len(list(csv.reader(file))) - 1


def test_claims_are_shown_from_the_stored_table(rungs: Rungs) -> None:
    missing = rungs("claims")
    assert isinstance(missing.exception, RungsError)
    assert "snakemake --cores all results/small/tables/claims.csv" in str(missing.exception)
    make_runs("small", (0, 1, 2), gain=2)
    made = rungs("table", "claims")
    stem = "results/small/tables/claims"
    assert made.output == f"{stem}.csv, {stem}.md: {count_rows(stem)} rows\n"
    lines = [re.sub(" +", " ", line).strip() for line in rungs("claims").output.splitlines()]
    assert lines[0] == "Claims: 1 reproduced, 1 not reproduced, 2 undecided"
    assert "ladder.2 mnist5k reproduced Batch norm improves the deep VAE" in lines
    (part,) = [line for line in lines if line.startswith("gain 2.00")]
    assert part.endswith("nats > 0.2 depth 5; drift 0.00; 3 seeds")
    rows = json.loads(rungs("claims", "--json").output)
    (claim, found) = [row for row in rows if row["claim"] == "ladder.3"]
    assert (claim["part"], claim["measured"], claim["verdict"]) == ("", None, "not reproduced")
    assert (found["measured"], found["margin"], found["seeds"]) == (0, 0.2, 3)
    assert len(found["runs"]) == 6


def test_a_table_of_an_older_version_is_refused(rungs: Rungs) -> None:
    Path("results/small/tables").mkdir(parents=True)
    Path("results/small/tables/claims.csv").write_text("claim,measured,threshold\nx,1,> 2\n")
    assert "older version" in str(rungs("claims").exception)


def test_claims_are_decided_again_with_other_seeds(rungs: Rungs) -> None:
    make_runs("small", (0, 1, 2), gain=2)
    assert rungs("table", "claims").exit_code == 0
    make_runs("small-seeds-3-4-5", (3, 4, 5), gain=3)
    make_runs("small-seeds-6-7-8", (6, 7, 8), gain=0)
    agreed = rungs("claims", "--seeds", "3,4,5")
    assert agreed.exit_code == 0, agreed.output
    assert re.search(
        r"ladder.2 +\| gain +\| mnist5k +\| reproduced \(2.00\) +\| reproduced \(3.00\)",
        agreed.output,
    )
    assert "Between reproduced and not reproduced: 0." in agreed.output
    flipped = rungs("claims", "--seeds", "3,4,5", "--seeds", "6,7,8")
    assert flipped.exit_code == 1
    assert "Between reproduced and not reproduced: 2 (ladder.2, ladder.2 gain)." in flipped.output
    found = json.loads(rungs("claims", "--seeds", "3,4,5", "--json").output)
    assert list(found) == ["small", "seeds 3, 4, 5"]


def test_missing_seeds_are_told_with_the_command_that_makes_them(rungs: Rungs) -> None:
    make_runs("small", (0, 1, 2), gain=2)
    assert rungs("table", "claims").exit_code == 0
    make_runs("small-seeds-3-4-5", (3, 4), gain=3)
    told = str(rungs("claims", "--seeds", "3,4,5").exception)
    overlay = "results/small-seeds-3-4-5/profile.yaml"
    assert told.startswith("3 of 9 runs are missing")
    command = (
        "snakemake --cores all results/small-seeds-3-4-5/tables/claims.csv --configfile small.yaml"
    )
    assert f"{command} {overlay}" in told
    # the profile that it names asks for these runs
    assert yaml.safe_load(Path(overlay).read_text())["profile"] == "small-seeds-3-4-5"
    config = load([Path("small.yaml"), Path(overlay)])
    assert config["experiments"]["ladder"][0]["seeds"] == [3, 4, 5]


@pytest.mark.parametrize("seeds", ["", "3,,4", "a", "3,3,4"])
def test_seeds_that_are_none_are_refused(rungs: Rungs, seeds: str) -> None:
    make_runs("small", (0, 1, 2), gain=2)
    assert rungs("table", "claims").exit_code == 0
    assert rungs("claims", "--seeds", seeds).exit_code != 0
