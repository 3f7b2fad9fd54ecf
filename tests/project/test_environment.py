"""The environment: one set of pins, and torchvision beside any build of torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from conftest import copy_workflow
from rungs.figures import FIGURES
from rungs.paths import ROOT
from rungs.tables import TABLES


def pins(lines: list[str]) -> dict[str, str]:
    return dict(
        re.fullmatch(r"([\w-]+)==([\w.]+)", line.strip()).groups()  # type: ignore[union-attr]
        for line in lines
        if line.strip() and not line.startswith("#")
    )


ENVS = ROOT / "envs"
PIP = pins((ENVS / "requirements.txt").read_text().splitlines())


def conda(name: str) -> dict[str, str]:
    """The pins of a conda environment, Python's among them."""
    found = yaml.safe_load((ROOT / "workflow/envs" / name).read_text())
    python, pip, nested = found["dependencies"]
    assert pip == "pip"
    return {"python": python.removeprefix("python=")} | pins(nested["pip"])


def test_pip_and_conda_have_the_same_pins() -> None:
    python = conda("rungs.yaml").pop("python")
    assert conda("rungs.yaml") == {"python": python} | PIP
    light = conda("drawing.yaml")
    assert light.items() < conda("rungs.yaml").items()
    assert not {"torch", "torchvision"} & light.keys()


def test_every_environment_lies_in_both_places() -> None:
    """The rules' own files are in workflow/envs; links at the top lead there."""
    files = sorted((ROOT / "workflow/envs").iterdir())
    assert files
    assert all(not path.is_symlink() for path in files)
    assert [path.resolve() for path in sorted(ENVS.glob("*.yaml"))] == files
    asked = re.compile(r'conda:\s+"(.*)"')
    named = {
        n for p in (ROOT / "workflow/rules").glob("*.smk") for n in asked.findall(p.read_text())
    }
    assert named == {f"../envs/{path.name}" for path in files}


@pytest.mark.parametrize("name", ["Dockerfile", "apptainer.def"])
def test_images_install_the_requirements(name: str) -> None:
    """Without a container engine: the same Python as conda's, requirements.txt and nothing else."""
    text = (ENVS / name).read_text()
    python = conda("rungs.yaml")["python"]
    assert re.findall(r"^From:? (.*)$", text, re.M | re.I) == [f"python:{python}-slim-bookworm"]
    (installed,) = re.findall(r"pip install (.*)$", text, re.M)
    words = [word for word in installed.split() if word not in ("--no-cache-dir", "--requirement")]
    assert words[0].removeprefix("/opt/envs/") == "requirements.txt"
    assert words[1:] in ([], ["${MORE}"])
    copied = re.search(r"^(?:COPY|    envs/requirements.txt) .*", text, re.M)
    assert copied
    assert "requirements.txt" in copied[0]


#: imports fail that the environment without torch could not do
WITHOUT_THE_REST = """
import importlib.metadata as metadata, re, sys
from packaging.requirements import Requirement
there, waiting = set(), {light!r}
while waiting:
    name = re.sub("[-_.]+", "-", waiting.pop()).lower()
    if name in there:
        continue
    try:
        required = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        continue
    there.add(name)
    parsed = map(Requirement, required)
    waiting += [r.name for r in parsed if r.marker is None or r.marker.evaluate({{"extra": ""}})]
owners = {{
    module: {{re.sub("[-_.]+", "-", name).lower() for name in names}}
    for module, names in metadata.packages_distributions().items()
}}
class Absent:
    def find_spec(self, name, path=None, target=None):
        owner = owners.get(name.partition(".")[0])
        if owner and not owner & there and "rungs" not in owner:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def test_drawing_needs_its_own_environment_alone(tiny_workflow: Path, tmp_path: Path) -> None:
    """Every command of the rules with the environment ``drawing.yaml``, in one process, where only
    that environment's packages can be imported."""
    clone = copy_workflow(tmp_path)
    shutil.copytree(tiny_workflow / "clone/results", clone / "results")
    shutil.copy(tiny_workflow / "clone/tiny.yaml", clone)
    light = [name for name in conda("drawing.yaml") if name != "python"]
    verbs = [["figure", name] for name in FIGURES] + [["table", name] for name in TABLES]
    verbs += [["summary"], ["scorecard"], ["report"], ["crate"]]
    code = WITHOUT_THE_REST.format(light=light) + "import rungs.cli\n"
    code += f"for verb in {verbs!r}: rungs.cli.cli(verb, standalone_mode=False)\n"
    code += "print('torch' in sys.modules)"
    environment = {"PYTHONPATH": str(clone / "src"), "RUNGS_CONFIG": "tiny.yaml"}
    assert run(code, clone, **environment).splitlines()[-1] == "False"
    report = "from snakemake.cli import main\nmain(['--configfile', 'tiny.yaml', '--cores', '1',"
    report += " '--report', 'workflow.html', '--', 'results'])"
    with pytest.raises(AssertionError, match="No module named 'torch'"):
        run(WITHOUT_THE_REST.format(light=light) + "import torch")
    run(WITHOUT_THE_REST.format(light=light) + report, clone, **environment)
    assert (clone / "workflow.html").is_file()


def test_the_option_for_tensorboard_is_what_is_tested() -> None:
    option, tested = (
        pins((ROOT / "envs" / name).read_text().splitlines())
        for name in ("tensorboard.txt", "dev.txt")
    )
    assert option.items() <= tested.items()


@pytest.mark.parametrize("package", sorted(PIP))
def test_the_environment_has_what_is_pinned(package: str) -> None:
    assert version(package).split("+")[0] == PIP[package]


def run(code: str, folder: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torchvision_imports_and_draws_a_grid() -> None:
    shape = run(
        "from rungs.data.torchvision_import import import_torchvision; tv = import_torchvision()\n"
        "import torch; from torchvision.utils import make_grid\n"
        "print(list(make_grid(torch.zeros(4, 1, 8, 8), nrow=2, padding=0).shape))"
    )
    assert shape == "[3, 16, 16]"


def test_present_operators_are_not_declared_again() -> None:
    """Where torchvision's own operators load, nothing is defined over them.

    They do in CUDA builds. Elsewhere they are declared before, in place of them.
    """
    found = run(
        "import torch\n"
        "from rungs.data import torchvision_import as t\n"
        "try:\n"
        "    import torchvision\n"
        "except RuntimeError:\n"
        "    lib = torch.library.Library('torchvision', 'DEF')\n"
        "    for name, schema in t.SCHEMAS.items(): lib.define(name + schema)\n"
        "t.import_torchvision()\n"
        "print(len(t._LIBRARIES))"
    )
    assert found == "0"


def test_the_package_starts_without_torch() -> None:
    loaded = run("import sys, rungs.cli, rungs.study.layout; print('torch' in sys.modules)")
    assert loaded == "False"
