"""The wheel: what the library does without the repository and the pipeline's packages."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from test_environment import PIP, WITHOUT_THE_REST

import rungs
from rungs.exchange.export import export_run
from rungs.paths import ROOT
from rungs.study.layers import merge
from rungs.study.runs import Run

DEPENDENCIES = [
    Requirement(line)
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
]
#: what git does not know: a profile of one's own, a module of an earlier build
STRANGERS = ("config/my-own-profile.yaml", "build/lib/rungs/gone_since.py")
TINY: dict[str, Any] = {
    "training": {"epochs": 1},
    "evaluation": {"samples": 5, "images": 10, "train_images": 10, "unit_samples": 2},
}


def test_what_the_library_needs_is_pinned() -> None:
    for needed in DEPENDENCIES:
        assert needed.specifier.contains(PIP[needed.name]), needed


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheel alone is installed, built from a clone in which someone works."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("config", "envs", "resources", "src", "workflow"):
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, source)
    for arguments in (["init", "--quiet"], ["add", "--all"]):
        run(["git", *arguments], source)
    for name in STRANGERS:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("profile: mine\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ["--quiet", "--no-deps", "--no-index"]
    build = ["wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    run([*pip, *build], folder)
    (wheel,) = folder.glob("rungs-*.whl")
    run([*pip, "install", *offline, "--target", str(folder / "site"), str(wheel)], folder)
    shutil.rmtree(source)
    return folder


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = outcome(command, folder, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def outcome(
    command: list[str], folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "RUNGS_CONFIG")}
    return subprocess.run(
        command,
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_wheel_carries_what_it_reads_and_no_more(installed: Path) -> None:
    (wheel,) = installed.glob("rungs-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        carried = {
            name.removeprefix("rungs/repository/"): archive.read(name)
            for name in names
            if name.startswith("rungs/repository/")
        }
    assert {"config/common.yaml", "resources/mnist5k.h5"} <= set(carried)
    assert not {Path(name).name for name in names} & {Path(name).name for name in STRANGERS}
    assert {name.partition("/")[0] for name in carried} == {"config", "resources", "workflow"}
    for name, content in carried.items():
        assert content == (ROOT / name).read_bytes(), name
    others = {name.partition("/")[0] for name in names}
    assert {name for name in others if not name.endswith(".dist-info")} == {
        "rungs",
        "snakemake_logger_plugin_rungs",
    }


#: what a user of the library does; imports of the pipeline's packages fail
USE = """
import json, sys
import numpy as np
import rungs, rungs.paths
run = rungs.load("run.zip")
digits = rungs.load_data("mnist5k").test_images[:4]
config = rungs.load_config("smoke", "tiny.yaml")
trained = rungs.train("gauss", "mnist5k", latent=2, config=config)
print(json.dumps({
    "place": str(rungs.paths.ROOT),
    "in_clone": rungs.paths.IN_CLONE,
    "sample": run.sample(4).tolist(),
    "bound": run.log_likelihood(digits, k=5).tolist(),
    "trained": trained.sample(4).tolist(),
}))
"""


def test_an_archive_is_loaded_and_a_run_trained_from_the_wheel_alone(
    installed: Path, tmp_path: Path, smoke_config: dict[str, Any]
) -> None:
    site = installed / "site"
    config = merge(smoke_config, TINY)
    with contextlib.chdir(tmp_path):
        here = rungs.train("vae", "mnist5k", depth=1, config=config, profile="wheel")
        rungs.evaluate(here)
        asked = rungs.load_config(*Path("results/wheel/config").glob("*.json"))
        export_run(asked, Run.parse(here.name), tmp_path / "run.zip")
        there = rungs.train("gauss", "mnist5k", latent=2, config=config)
        digits = rungs.load_data("mnist5k").test_images[:4]
        expected = here.sample(4), here.log_likelihood(digits, k=5), there.sample(4)
    away = tmp_path / "away"
    away.mkdir()
    shutil.copy(tmp_path / "run.zip", away)
    (away / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    light = [needed.name for needed in DEPENDENCIES]
    code = WITHOUT_THE_REST.format(light=light) + USE
    done = run([sys.executable, "-c", code], away, PYTHONPATH=str(site), PYTHONSAFEPATH="1")
    found = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["place"]) == site / "rungs" / "repository"
    assert not found["in_clone"]
    for name, values in zip(("sample", "bound", "trained"), expected, strict=True):
        np.testing.assert_array_equal(np.array(found[name], dtype=values.dtype), values)


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        (
            ["table", "loglik"],
            "this command needs pandas, which is not installed; install the wheel",
        ),
        (["crate"], "run the command in a clone of the repository"),
    ],
)
def test_commands_that_need_more_say_so_in_a_line(
    installed: Path, tmp_path: Path, verb: list[str], message: str
) -> None:
    light = [needed.name for needed in DEPENDENCIES]
    if verb == ["crate"]:  # it needs the pipeline's packages, and then the workflow
        light = list(PIP)
    code = WITHOUT_THE_REST.format(light=light) + f"import rungs.cli\nrungs.cli.main({verb!r})"
    command = [sys.executable, "-c", code]
    done = outcome(command, tmp_path, PYTHONPATH=str(installed / "site"), PYTHONSAFEPATH="1")
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
