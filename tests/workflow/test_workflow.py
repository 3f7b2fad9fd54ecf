"""The workflow, end to end, as a user runs it: results, staleness, errors."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

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
def finished(tiny_workflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the tiny profile has run, copied: tests here change it, and others read theirs."""
    target = tmp_path_factory.mktemp("finished") / "clone"
    shutil.copytree(tiny_workflow / "clone", target, symlinks=True)
    return target


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
        shown = (finished / f"results/tiny/tables/{table}.md").read_text().count("\n") - 2
        assert shown == len(rows) or (TABLES[table].summarised and 0 < shown < len(rows)), table
    assert "lvae-bn-wu" in (finished / "results/tiny/summary.txt").read_text()
    columns = next(csv.reader((finished / "results/tiny/tables/loglik.csv").open()))
    assert set(columns) >= LOGLIK_COLUMNS


def test_nothing_is_to_be_done_twice(finished: Path) -> None:
    done = snakemake(finished, "all")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_nothing_is_stale_to_a_workflow_started_with_the_frozen_configuration(
    finished: Path,
) -> None:
    """As the one is that makes Snakemake's own report."""
    (frozen,) = (finished / "results/tiny/config").glob("*.json")
    done = run_snakemake(
        finished, "results", "--dry-run", "--configfile", str(frozen.relative_to(finished))
    )
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_deleted_figure_is_remade_alone(finished: Path) -> None:
    target = finished / "results/tiny/figures/ladder_loglik.png"
    before = target.read_bytes()
    target.unlink()
    assert planned(finished) == {"figure ladder_loglik", "report", "crate"}
    done = snakemake(finished, "results/tiny/figures/ladder_loglik.png")
    assert done.returncode == 0
    assert target.read_bytes() == before
    assert planned(finished) == set()


def test_snakemakes_own_report_is_made_on_request_and_changes_nothing(finished: Path) -> None:
    """The second Snakemake reads the configuration that the first froze, and makes none of its own."""
    target = finished / "results/tiny/workflow.html"
    assert not target.exists()
    done = snakemake(finished, "results/tiny/workflow.html")
    assert done.returncode == 0, done.stdout + done.stderr
    assert target.read_text(encoding="utf-8").rstrip().endswith("</html>")
    log = (finished / "results/tiny/logs/workflow-report.log").read_text()
    assert "Report created." in log
    assert "Missing metadata" not in log
    assert "rule train" not in log
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
            {"train lvae-bn-wu", "evaluate lvae-bn-wu", "explorer", *DOWNSTREAM},
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
        (
            "src/rungs/report/templates/style.css",
            "max-width: 82rem",
            "max-width: 80rem",
            {"report"},
        ),
        (
            "src/rungs/models/vae.py",
            "a sample of the layer below",
            "a draw of the layer below",
            set(),
        ),
    ],
)
def test_what_a_change_makes_stale(
    finished: Path, file: str, old: str, new: str, expected: set[str]
) -> None:
    path = finished / file
    text = path.read_text()
    change(path, old, new)
    try:
        assert planned(finished) == expected | ({"crate"} if expected - {"report"} else set())
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


# --- metadata and verification ------------------------------------------------------------------


def rungs(folder: Path, *arguments: str) -> CompletedProcess[str]:
    """A verb of the clone's own package."""
    return subprocess.run(
        [sys.executable, "-m", "rungs", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def crate(folder: Path) -> dict[str, dict[str, Any]]:
    """The entities of the crate by their ids, each of which is there once."""
    content = json.loads((folder / "results/tiny/ro-crate-metadata.json").read_text())
    assert content["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    entities = {entity["@id"]: entity for entity in content["@graph"]}
    assert len(entities) == len(content["@graph"])
    return entities


def references(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [v["@id"] for v in values if isinstance(v, dict)]


def test_the_crate_keeps_the_musts_of_its_profiles(finished: Path) -> None:
    """RO-Crate 1.1, Process and Workflow Run Crate 0.5, Workflow RO-Crate 1.0."""
    found = crate(finished)
    # RO-Crate: a descriptor about the root; the root has type, name, description, date, licence
    descriptor, root = found["ro-crate-metadata.json"], found["./"]
    assert descriptor["@type"] == "CreativeWork"
    assert references(descriptor["about"]) == ["./"]
    assert "https://w3id.org/ro/crate/1.1" in references(descriptor["conformsTo"])
    assert root["@type"] == "Dataset"
    assert re.match(r"\d{4}-\d\d-\d\dT", root["datePublished"])
    assert root["name"]
    assert root["description"]
    assert references(root["license"])[0] in found
    # every entity has a type; every reference leads to one or to the web
    for entity in found.values():
        assert entity["@type"]
        for key, value in entity.items():
            for target in references(value):
                assert target in found or target.startswith("http"), (entity["@id"], key, target)
    # data entities are files of the folder, listed by the root, and unaltered
    files = [e for e in found.values() if "File" in e["@type"]]
    assert {e["@id"] for e in files} == set(references(root["hasPart"]))
    for entity in files:
        content = (finished / "results/tiny" / entity["@id"]).read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest()
        assert entity["contentSize"] == str(len(content))
    # the three profiles, as entities
    for profile in (
        "https://w3id.org/ro/wfrun/process/0.5",
        "https://w3id.org/ro/wfrun/workflow/0.5",
        "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
    ):
        assert profile in references(root["conformsTo"])
        assert found[profile]["@type"] == "CreativeWork"
        assert profile.endswith(found[profile]["version"])
    # the main workflow: a file, a workflow, in a named language
    (name,) = references(root["mainEntity"])
    main = found[name]
    assert set(main["@type"]) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
    language = found[references(main["programmingLanguage"])[0]]
    assert (language["@type"], language["name"]) == ("ComputerLanguage", "Snakemake")
    assert main["name"]
    # the action: its instrument is the workflow; what went in and came out; when, by whom
    (mentioned,) = references(root["mentions"])
    action = found[mentioned]
    assert action["@type"] == "CreateAction"
    assert references(action["instrument"]) == [name]
    assert action["startTime"] < action["endTime"]
    assert found[references(action["agent"])[0]]["@type"] in ("Person", "Organization")
    results = set(references(action["result"]))
    assert {f"figures/{figure}.png" for figure in FIGURES} <= results
    assert {f"tables/{table}.csv" for table in TABLES} <= results
    assert "runs/mnist5k/vae/depth5/seed0/weights.safetensors" in results
    assert "#data-mnist5k" in references(action["object"])
    assert any(target.startswith("config/") for target in references(action["object"]))
    versions = {found[i]["name"] for i in references(main["softwareRequirements"])}
    assert {"python", "torch", "numpy", "snakemake"} <= versions


def test_the_crate_depends_on_the_results_alone(finished: Path) -> None:
    path = finished / "results/tiny/ro-crate-metadata.json"
    before = path.read_bytes()
    assert rungs(finished, "crate", "--config", "tiny.yaml").returncode == 0
    assert path.read_bytes() == before
    assert planned(finished) == set()


def test_a_gallery_offers_weights(finished: Path) -> None:
    command = ("gallery", "--config", "tiny.yaml", "--command", "make all", "page")
    done = rungs(finished, *command, "--weights", "mnist5k/lvae-bn-wu/depth5/seed0")
    assert done.returncode == 0, done.stderr
    name = "tiny-mnist5k-lvae-bn-wu-depth5-seed0.zip"
    assert f"[{name}]({name})" in (finished / "page/README.md").read_text()
    loaded = rungs(finished, "load", f"page/{name}", "--json")
    assert json.loads(loaded.stdout)["run"]["variant"] == "lvae-bn-wu"
    assert rungs(finished, *command).returncode == 0
    assert not (finished / f"page/{name}").exists()
