"""What belongs to a published workflow: its citation, the catalogue's files, use as a module."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import copy_workflow
from rungs import __version__
from rungs.paths import ROOT
from rungs.study import profile as configuration
from rungs.study.layers import DEFAULT, read_file

#: two epochs of a small network, laid over what a deployment begins with
TINY = """
profile: mine
experiments:
  ladder:
    - {datasets: [mnist5k], variants: [vae], depths: [2], seeds: [0]}
network: {latent_sizes: [4, 2], hidden_sizes: [8, 4]}
training: {epochs: 2, warm_up_epochs: 1}
"""


def test_the_citation_file_is_valid() -> None:
    """What version 1.2.0 of the Citation File Format asks for."""
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(found)
    assert found["cff-version"] == "1.2.0"
    assert found["type"] == "software"
    assert str(found["version"]) == __version__
    assert found["license"] == "MIT"
    assert found["authors"] == [{"name": "The rungs developers"}]
    for reference in found["references"]:
        assert {"type", "title", "authors"} <= set(reference)
        assert all({"family-names", "given-names"} <= set(a) for a in reference["authors"])
        assert isinstance(reference["year"], int)


def test_every_place_states_this_version() -> None:
    """Those that CONTRIBUTING lists for a release."""
    assert f"## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()
    assert f'\nversion = "{__version__}"\n' in (ROOT / "pyproject.toml").read_text()
    assert f"version = {{{__version__}}}" in (ROOT / "README.md").read_text()


def test_hosted_ci_runs_the_same_command_as_ours() -> None:
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_issue_forms_have_what_a_code_host_asks_for() -> None:
    forms = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    assert forms
    for form in forms:
        found = yaml.safe_load(form.read_text())
        assert {"name", "description", "body"} <= found.keys(), form
        ids = [field["id"] for field in found["body"]]
        assert len(set(ids)) == len(ids)
        assert all(field["attributes"]["label"] for field in found["body"])
        assert {field["type"] for field in found["body"]} <= {"textarea", "input"}


def test_the_catalogue_finds_what_it_asks_for() -> None:
    """https://snakemake.github.io/snakemake-workflow-catalog: standardised usage."""
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert (ROOT / "workflow/Snakefile").is_file()
    assert list((ROOT / "workflow/rules").glob("*.smk"))
    assert "profile" in (ROOT / "config/README.md").read_text()
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme


def test_the_default_configuration_is_the_profile_quick() -> None:
    """``config/config.yaml`` is what Snakemake, the command line and a deployment begin with."""
    config = configuration.load([DEFAULT])
    assert (ROOT / "config/config.yaml").samefile(DEFAULT)
    assert config["profile"] == "quick"
    assert config == configuration.load([ROOT / "config/quick.yaml"])
    # complete() gives a module what configfile: gives the workflow itself, however often
    own = read_file(DEFAULT)
    assert configuration.complete(own) == config
    assert configuration.complete(config) == config
    assert configuration.complete({}) == config


def test_a_profile_replaces_the_default_and_other_settings_are_laid_over_it(tmp_path: Path) -> None:
    clone = copy_workflow(tmp_path)
    (clone / "faster.yaml").write_text("training: {epochs: 7}\n")
    frozen = {
        "smoke": configuration.load([ROOT / "config/smoke.yaml"]),
        "quick": configuration.load([DEFAULT, clone / "faster.yaml"]),
    }
    for name, options in (("smoke", ["config/smoke.yaml"]), ("quick", ["faster.yaml"])):
        planned = snakemake(clone, "--dry-run", "--quiet", "all", "--configfile", *options)
        assert planned.returncode == 0, planned.stdout + planned.stderr
        (path,) = clone.glob(f"results/{name}/config/*.json")
        assert read_file(path) == frozen[name]


def test_the_workflow_runs_in_the_folder_of_tests(tmp_path: Path) -> None:
    """``.test`` holds the smoke profile, where the tools of workflow catalogues look for it."""
    clone = copy_workflow(tmp_path)
    assert read_file(clone / ".test/config/config.yaml") == read_file(clone / "config/smoke.yaml")
    for snakefile in ("Snakefile", "workflow/Snakefile"):
        where = ("--snakefile", snakefile, "--directory", ".test")
        planned = snakemake(clone, "--dry-run", "all", *where)
        assert planned.returncode == 0, planned.stdout + planned.stderr
        assert re.search(r"\b\d+ figure\b", planned.stdout)
        assert "results/smoke/summary.txt" in planned.stdout
        assert not (clone / "results").exists()
        lint = snakemake(clone, "--lint", *where)
        assert lint.returncode == 0, lint.stdout + lint.stderr


def use_as_module(folder: Path, snakefile: str) -> None:
    """What `snakedeploy deploy-workflow` writes."""
    (folder / "workflow").mkdir(parents=True)
    (folder / "config").mkdir()
    (folder / "config/config.yaml").write_text(TINY)
    (folder / "workflow/Snakefile").write_text(
        'configfile: "config/config.yaml"\n\n'
        f"module rungs:\n    snakefile:\n        {snakefile}\n    config:\n        config\n\n"
        "use rule * from rungs\n"
    )


def snakemake(
    folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "RUNGS_CONFIG")}
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_workflow_is_a_module_of_another(tmp_path: Path) -> None:
    """From a clone elsewhere: everything is planned, and a run is prepared, trained."""
    clone = copy_workflow(tmp_path / "elsewhere")
    folder = tmp_path / "study"
    use_as_module(folder, f'"{clone}/workflow/Snakefile"')
    planned = snakemake(folder, "--dry-run", "all")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    for rule in ("prepare", "train", "evaluate", "figure", "table", "summary", "crate"):
        assert re.search(rf"^{rule} +\d", planned.stdout, re.M), rule
    target = "results/mine/runs/mnist5k/vae/depth2/seed0/training.h5"
    done = snakemake(folder, target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / target).is_file()
    assert not (clone / "results").exists()


def test_a_module_with_a_prefix_is_refused(tmp_path: Path) -> None:
    """Its commands would write elsewhere than the rules say."""
    folder = tmp_path / "study"
    use_as_module(folder, f'"{ROOT}/workflow/Snakefile"')
    snakefile = folder / "workflow/Snakefile"
    text = snakefile.read_text()
    for option in ('prefix:\n        "a"', 'replace_prefix:\n        {"results/": "a/"}'):
        snakefile.write_text(text.replace("    config:\n", f"    {option}\n    config:\n"))
        refused = snakemake(folder, "--dry-run", "all")
        assert refused.returncode == 1
        assert "the module rungs takes no prefix" in refused.stdout + refused.stderr
        assert "Traceback" not in refused.stdout + refused.stderr


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not there")
def test_the_workflow_is_a_module_from_a_code_host(tmp_path: Path) -> None:
    """As snakedeploy writes it, with a repository on this machine in the code host's place. The rules
    then come without the package, and say so where it is not installed."""
    clone = copy_workflow(tmp_path / "host/owner")
    clone = clone.rename(clone.with_name("rungs.git"))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-C", str(clone)]
    for step in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "All"], ["tag", "v1"]):
        subprocess.run([*git, *step], check=True, capture_output=True)
    host = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{tmp_path}/host/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    folder = tmp_path / "study"
    use_as_module(folder, 'github("owner/rungs", path="workflow/Snakefile", tag="v1")')
    planned = snakemake(folder, "--dry-run", "all", **host, PYTHONPATH=str(clone / "src"))
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert re.search(r"^train +1", planned.stdout, re.M)
    # a package of this name that cannot be imported stands for none
    (tmp_path / "none/rungs").mkdir(parents=True)
    (tmp_path / "none/rungs/__init__.py").write_text("raise ImportError('not here')")
    lacking = snakemake(folder, "--dry-run", "all", **host, PYTHONPATH=str(tmp_path / "none"))
    assert lacking.returncode == 1
    assert "the package rungs is not installed" in lacking.stdout + lacking.stderr
    assert "Traceback" not in lacking.stdout + lacking.stderr
