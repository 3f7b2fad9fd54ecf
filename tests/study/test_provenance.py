"""A change makes stale exactly what rests on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rungs.study import provenance


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    copy = tmp_path / "rungs"
    shutil.copytree(provenance.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE", copy)
    yield copy
    for cached in (provenance._tree, provenance.training_code, provenance.evaluation_code):
        cached.cache_clear()


def hashes() -> dict[str, str]:
    for cached in (provenance._tree, provenance.training_code, provenance.evaluation_code):
        cached.cache_clear()
    return {
        "train vae": provenance.training_code("vae"),
        "train lvae": provenance.training_code("lvae"),
        "evaluate vae": provenance.evaluation_code("vae"),
        "figure": provenance.code_hash("rungs.figures.ladder_loglik"),
        "table": provenance.code_hash("rungs.tables.loglik"),
        "data": provenance.code_hash("rungs.data.mnist5k"),
    }


CHANGES = [
    ("models/ladder.py", {"train lvae"}),
    ("models/vae.py", {"train vae", "evaluate vae"}),
    ("models/hierarchy.py", {"train vae", "train lvae", "evaluate vae"}),
    ("evaluation/likelihood.py", {"evaluate vae"}),
    ("figures/ladder_loglik.py", {"figure"}),
    ("figures/style.py", {"figure"}),
    ("tables/loglik.py", {"table", "figure"}),
    ("data/mnist5k.py", {"data"}),
    ("data/mnist.py", set()),
    ("models/__init__.py", set()),
    ("figures/__init__.py", set()),
    ("cli/steps.py", set()),
]


@pytest.mark.parametrize(("module", "stale"), CHANGES)
def test_what_a_change_makes_stale(package: Path, module: str, stale: set[str]) -> None:
    before = hashes()
    path = package / module
    path.write_text(path.read_text() + "\nADDED = 1\n")
    after = hashes()
    assert {name for name in before if before[name] != after[name]} == stale


def test_comments_and_docstrings_make_nothing_stale(package: Path) -> None:
    before = hashes()
    path = package / "models" / "vae.py"
    text = path.read_text()
    path.write_text("# a comment\n" + text.replace('"""Each layer', '"""Every single layer'))
    assert path.read_text() != text
    assert hashes() == before


def test_results_say_where_they_come_from() -> None:
    found = provenance.describe()
    assert {"rungs", "commit", "python", "packages", "machine"} <= set(found)
    assert found["packages"]["torch"].startswith("2.")
