from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from rungs import config as configuration
from rungs.config import ROOT, Run
from rungs.data import prepare

torch.set_num_threads(1)
settings.register_profile("rungs", deadline=None, derandomize=True)
settings.load_profile("rungs")
#: these need Snakemake's executor plugins: make test-cluster
collect_ignore = [] if os.environ.get("RUNGS_TEST_CLUSTER") else ["cluster"]
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


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded digits, prepared."""
    path = tmp_path_factory.mktemp("data") / "mnist5k.h5"
    prepare("mnist5k", None, path.parent).write(path)
    return path


@pytest.fixture
def spec_of(smoke_config: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """A small run's settings; keywords replace training settings."""

    def make(variant: str = "lvae-bn-wu", depth: int = 2, **training: Any) -> dict[str, Any]:
        spec = configuration.resolve(smoke_config, Run("mnist5k", variant, depth, 0))
        spec["training"] |= training
        return spec

    return make


def copy_workflow(folder: Path) -> Path:
    """A copy of what the workflow needs, to run and to change."""
    target = folder / "clone"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("config", "workflow", "src", "resources", "envs"):
        shutil.copytree(ROOT / name, target / name, ignore=ignore)
    shutil.copy(ROOT / "Snakefile", target)
    (target / "profiles").symlink_to("workflow/profiles")
    return target


def run_snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake as a user would, in ``folder``."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "RUNGS_CONFIG")}
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
