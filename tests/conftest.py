from __future__ import annotations

import contextlib
import copy
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from rungs.data import prepare
from rungs.data.prepared import read_images
from rungs.paths import ROOT
from rungs.study import profile as configuration
from rungs.study.identity import data_source
from rungs.study.runs import Run
from rungs.study.settings import resolve

torch.set_num_threads(1)
settings.register_profile("rungs", deadline=None, derandomize=True)
settings.load_profile("rungs")
#: make test-faults; what needs Snakemake's executor plugins, make test-cluster; minutes each, make
#: test-truth
collect_ignore = ["faults"]
collect_ignore += [] if os.environ.get("RUNGS_TEST_CLUSTER") else ["cluster"]
collect_ignore += [] if os.environ.get("RUNGS_TEST_TRUTH") else ["truth"]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def raw_data() -> Path:
    """Raw data of complete data sets, where the machine has them."""
    named = os.environ.get(configuration.RAW_DATA_VARIABLE)
    folder = Path(named) if named else SHARED_DATA
    if not folder.is_dir():
        pytest.skip(f"no raw data: set {configuration.RAW_DATA_VARIABLE}")
    return folder


@pytest.fixture(scope="session")
def smoke_config() -> dict[str, Any]:
    return configuration.load([ROOT / "config" / "smoke.yaml"])


def changed(config: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The configuration with another value at a path such as ``training.epochs``."""
    new = copy.deepcopy(config)
    *parents, last = path.split(".")
    here = new
    for parent in parents:
        here = here[int(parent)] if isinstance(here, list) else here[parent]
    here[last] = value
    return new


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded digits, prepared."""
    path = tmp_path_factory.mktemp("data") / "mnist5k.h5"
    prepare("mnist5k", None, path.parent).write(path, data_source({}, "mnist5k"))
    return path


def training_images(digits: Path, count: int = 600) -> torch.Tensor:
    """The first training images of a prepared data set, uint8 ``[count, pixels]``."""
    return torch.from_numpy(read_images(digits, "train")[:count]).flatten(1)


@pytest.fixture
def settings_of(smoke_config: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """A small run's settings; keywords replace training settings."""

    def make(variant: str = "lvae-bn-wu", depth: int = 2, **training: Any) -> dict[str, Any]:
        settings = resolve(smoke_config, Run("mnist5k", variant, depth, 0))
        settings["training"] |= training
        return settings

    return make


TINY = """
profile: tiny
experiments:
  ladder:
    - {datasets: [mnist5k], variants: [vae, lvae-bn-wu], depths: [5], seeds: [0]}
network:
  latent_sizes: {first: 4, ratio: 0.5, least: 2}
  hidden_sizes: {first: 16, ratio: 0.5, least: 8}
training: {epochs: 2, warm_up_epochs: 1}
evaluation: {samples: 10, images: 50, train_images: 50, unit_samples: 2}
calibration: {images: 20, samples: 10}
"""


@pytest.fixture(scope="session")
def tiny_workflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``clone``, in which the tiny profile has run, and ``report.html``, a copy of its
    report. All worker processes share it, so that no test may change it; what does copies it first."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "tiny-workflow"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "report.html").exists():
            shutil.rmtree(folder, ignore_errors=True)
            clone = copy_workflow(folder)
            (clone / "tiny.yaml").write_text(TINY)
            done = run_snakemake(clone, "all", "--configfile", "tiny.yaml")
            assert done.returncode == 0, done.stdout + done.stderr
            (folder / "printed.txt").write_text(done.stdout + done.stderr)
            shutil.copy(clone / "results/tiny/report.html", folder)
    return folder


@pytest.fixture(scope="module")
def tiny_results(tiny_workflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the tiny profile's ``results/tiny``, in whose folder the tests of a file run."""
    with contextlib.chdir(tmp_path_factory.mktemp("results")):
        shutil.copytree(tiny_workflow / "clone/results", "results")
        yield Path("results/tiny")


def copy_workflow(folder: Path) -> Path:
    """A copy of what the workflow needs, to run and to change."""
    target = folder / "clone"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in (".test/config", "config", "workflow", "src", "resources", "envs"):
        shutil.copytree(ROOT / name, target / name, ignore=ignore)
    shutil.copy(ROOT / "Snakefile", target)
    (target / "profiles").symlink_to("workflow/profiles")
    return target


def run_snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in ``folder``, with its own account of jobs: tests read more of it than people."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "RUNGS_CONFIG")}
    usual = ("--workflow-profile", "none", "--rerun-incomplete", "--show-failed-logs")
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *usual, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What became of the cases of bad input (tests/fuzzing.py)."""
    from fuzzing import summary

    for line in summary():
        terminalreporter.write_line(f"bad input, {line}")
