"""The environment: one set of pins, and torchvision beside any build of torch."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version

import pytest
import yaml

from rungs.paths import ROOT


def pins(lines: list[str]) -> dict[str, str]:
    return dict(
        re.fullmatch(r"([\w-]+)==([\w.]+)", line.strip()).groups()  # type: ignore[union-attr]
        for line in lines
        if line.strip() and not line.startswith("#")
    )


PIP = pins((ROOT / "envs" / "requirements.txt").read_text().splitlines())


def test_pip_and_conda_have_the_same_pins() -> None:
    conda = yaml.safe_load((ROOT / "envs" / "rungs.yaml").read_text())
    (nested,) = [entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict)]
    assert pins(nested) == PIP


def test_the_option_for_tensorboard_is_what_is_tested() -> None:
    option, tested = (
        pins((ROOT / "envs" / name).read_text().splitlines())
        for name in ("tensorboard.txt", "dev.txt")
    )
    assert option.items() <= tested.items()


@pytest.mark.parametrize("package", sorted(PIP))
def test_the_environment_has_what_is_pinned(package: str) -> None:
    assert version(package).split("+")[0] == PIP[package]


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
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
    """Where torchvision's own operators load, nothing is defined over them."""
    found = run(
        "import torch\n"
        "lib = torch.library.Library('torchvision', 'DEF')\n"
        "from rungs.data.torchvision_import import SCHEMAS\n"
        "for name, schema in SCHEMAS.items(): lib.define(name + schema)\n"
        "from rungs.data import torchvision_import as t; t.import_torchvision()\n"
        "print(len(t._LIBRARIES))"
    )
    assert found == "0"


def test_the_package_starts_without_torch() -> None:
    loaded = run("import sys, rungs.cli, rungs.study.layout; print('torch' in sys.modules)")
    assert loaded == "False"
