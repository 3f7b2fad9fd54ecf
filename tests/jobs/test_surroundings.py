"""A job's result does not depend on the working folder's other files, nor on the user's environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import copy_workflow
from rungs.paths import ROOT

#: names that a user may give to a script, and that Python, its libraries or rungs import
SCRIPTS = (
    *("random", "types", "torch", "queue", "data", "h5py", "calendar", "numpy", "yaml", "typing"),
    *("rungs", "click", "matplotlib", "logging", "secrets", "code", "test", "statistics"),
)
SCRIPT = 'raise SystemExit("a script of the user, run by mistake")\n'
MATPLOTLIBRC = "backend: none\nfont.size: 30\nsavefig.transparent: True\naxes.facecolor: red\n"
#: a variable that is None is not set
ENVIRONMENTS: dict[str, dict[str, str | None]] = {
    "a notebook in a hook": {
        "MPLBACKEND": "module://a_backend.of_a_notebook",
        **{"GIT_DIR": "/nowhere/.git", "GIT_WORK_TREE": "/nowhere", "GIT_INDEX_FILE": "x"},
    },
    "bare": {
        **dict.fromkeys(("HOME", "USER", "LANG", "TERM", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")),
        **{"LC_ALL": "C", "COLUMNS": "1"},
    },
    "without a place": {
        **{"TMPDIR": "/nowhere", "HOME": "/nowhere", "XDG_CACHE_HOME": "/nowhere"},
        **{"PYTHONWARNINGS": "error", "PYTHONSTARTUP": "random.py", "TZ": "Asia/Kathmandu"},
    },
}
#: what a rule starts, in the environment that the workflow prepares
JOB = """
import subprocess, sys
from pathlib import Path
from rungs.jobs.environment import prepare_environment
prepare_environment(Path("tiny.yaml").absolute())
sys.exit(subprocess.run(["bash", "-c", "python -m rungs " + sys.argv[1]]).returncode)
"""
PROFILE = """
profile: tiny
experiments:
  ladder: [{datasets: [mnist5k], variants: [vae], depths: [2], seeds: [0]}]
"""
#: of runs that the profile does not have: drawn without results
FIGURE = "latent_dimension"


def environment(changes: dict[str, str | None]) -> dict[str, str]:
    found: dict[str, str | None] = {**os.environ, "RUNGS_CONFIG": None}
    return {name: value for name, value in (found | changes).items() if value is not None}


def draw(folder: Path, changes: dict[str, str | None]) -> bytes:
    """A figure that a job draws in a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(PROFILE)
    done = subprocess.run(
        [sys.executable, "-P", "-c", JOB, f"figure {FIGURE}"],
        cwd=folder,
        env=environment(changes | {"PYTHONPATH": str(ROOT / "src")}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / f"results/tiny/figures/{FIGURE}.png").read_bytes()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a user's own files."""
    folder = tmp_path_factory.mktemp("hostile")
    for name in SCRIPTS:
        (folder / f"{name}.py").write_text(SCRIPT)
    (folder / "matplotlibrc").write_text(MATPLOTLIBRC)
    (folder / "sitecustomize.py").write_text(SCRIPT)
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return draw(tmp_path_factory.mktemp("undisturbed"), {"MPLBACKEND": None})


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_job_is_not_disturbed(hostile: Path, undisturbed: bytes, name: str) -> None:
    assert draw(hostile, ENVIRONMENTS[name]) == undisturbed


@pytest.mark.parametrize("command", [["-m", "rungs"], ["rungs"]])
def test_a_command_imports_nothing_from_the_working_folder(
    hostile: Path, tmp_path: Path, command: list[str]
) -> None:
    """By hand as well. What Python itself imports before it comes to a module, ``-m`` looks up there."""
    for name in SCRIPTS:
        if name not in ("types", "typing", "rungs"):
            (tmp_path / f"{name}.py").write_text(SCRIPT)
    if command == ["rungs"]:
        program = [str(Path(sys.executable).with_name("rungs"))]
        tmp_path = hostile
    else:
        program = [sys.executable, *command]
    done = subprocess.run(
        [*program, "list", "datasets"],
        cwd=tmp_path,
        env=environment({"PYTHONPATH": str(ROOT / "src")}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "mnist5k" in done.stdout


def test_an_account_without_a_name_runs_the_workflow(tmp_path: Path) -> None:
    """As in a container that is started with another user's number; its home is not there."""
    nameless = ["unshare", "--user", "--map-user=12345", "--map-group=12345"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*nameless, "true"], check=False).returncode
    ):
        pytest.skip("no user namespaces here")
    clone = copy_workflow(tmp_path)
    nobody = dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME", "XDG_CONFIG_HOME"))
    done = subprocess.run(
        [
            *(*nameless, str(Path(sys.executable).with_name("snakemake")), "--cores", "1"),
            "results/data/mnist5k.h5",
        ],
        cwd=clone,
        env=environment({**nobody, "HOME": "/nowhere", "PYTHONPATH": str(clone / "src")}),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (clone / "results/data/mnist5k.h5").is_file()


def test_the_workflow_runs_in_a_folder_of_the_users(hostile: Path, tmp_path: Path) -> None:
    """Away from the clone, beside scripts: the default profile counts."""
    clone = copy_workflow(tmp_path)
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("snakemake")), "--cores", "1"),
            *("--snakefile", str(clone / "Snakefile"), "results/data/mnist5k.h5"),
        ],
        cwd=hostile,
        env=environment(ENVIRONMENTS["a notebook in a hook"] | {"PYTHONPATH": str(clone / "src")}),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (hostile / "results/data/mnist5k.h5").is_file()
    assert (hostile / "results/quick/config").is_dir()
