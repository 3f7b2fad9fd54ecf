"""The rooms of the package: each imports only rooms below it, and nothing imports in a circle."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

from rungs.paths import PACKAGE, ROOT
from rungs.study.keys import COMPUTING, SHOWING

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
#: from top to bottom
LAYERS: list[str] = CONTRACTS[0]["layers"]
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
LINT = "from importlinter.cli import lint_imports_command as lint; lint()"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts on the clone in a folder."""
    path = os.pathsep.join([str(folder / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what the contracts read."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "src" / "rungs", ignore=ignored)
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


def test_the_contracts_are_kept() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "message"),
    [
        (
            "numerics/seeds.py",
            "from rungs.study.runs import Run as Run",
            "rungs.numerics is not allowed to import rungs.study",
        ),
        (
            "models/ladder.py",
            "def planted() -> None:\n    import rungs.evaluation.likelihood",
            "rungs.models is not allowed to import rungs.evaluation",
        ),
        (
            "storage/locks.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from rungs import api",
            "rungs.storage is not allowed to import rungs.api",
        ),
        (
            "data/binarise.py",
            "from rungs.data import own",
            "No cycles are allowed in rungs.data",
        ),
    ],
    ids=["at the top", "in a function", "for types", "circle"],
)
def test_a_planted_import_breaks_a_contract(
    clone: Path, module: str, line: str, message: str
) -> None:
    path = clone / "src/rungs" / module
    path.write_text(f"{path.read_text()}\n\n{line}\n")
    if "cycles" in message:
        other = clone / "src/rungs/data/own.py"
        other.write_text(f"{other.read_text()}\n\nfrom rungs.data import binarise\n")
    done = lint(clone)
    assert done.returncode == 1
    assert message in done.stdout


def test_a_new_room_needs_a_place(clone: Path) -> None:
    room = clone / "src/rungs/attic"
    room.mkdir()
    (room / "__init__.py").write_text("")
    done = lint(clone)
    assert done.returncode == 1
    assert "attic" in done.stdout + done.stderr


def test_nothing_is_ignored() -> None:
    """A contract with exceptions would be kept by adding to them."""
    assert {contract["type"] for contract in CONTRACTS} == {"layers", "acyclic_siblings"}
    assert not any("skip_descendants" in contract for contract in CONTRACTS)
    assert not any("ignore_imports" in contract for contract in CONTRACTS)


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Packages' ``__init__`` included, which are no siblings of their modules."""
    graph = grimp.build_graph("rungs", cache_dir=None)
    left = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    while free := {name for name, imported in left.items() if not imported & left.keys()}:
        for name in free:
            del left[name]
    assert not left


def test_every_room_is_a_layer() -> None:
    single = [name for layer in LAYERS for name in layer.split(" | ")]
    assert set(single) - {"__main__", "api", "errors", "paths"} == set(ROOMS)


def test_what_is_in_keys_lies_below_the_rest() -> None:
    """A key follows imports within these rooms, which import nothing else that has results."""
    assert set(ROOMS) >= COMPUTING | SHOWING
    order = {name: place for place, name in enumerate(reversed(LAYERS))}
    assert max(order[room] for room in COMPUTING) < min(order[room] for room in SHOWING)
    assert max(order[room] for room in SHOWING) < order["jobs"]


def test_at_most_eight_modules_lie_at_the_top() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 8


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_lies_in_it(room: str) -> None:
    """In two or three sentences or more: what it holds, what it may import and what may import it."""
    text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
    assert text is not None
    assert len(re.findall(r"\w\.(?:\s|$)", text)) >= 2
    assert "import" in text
