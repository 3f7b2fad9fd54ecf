"""A change makes stale exactly what rests on it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rungs.claims import DOCUMENTS
from rungs.data import DATASETS
from rungs.figures import FIGURES
from rungs.models import MODELS
from rungs.paths import PACKAGE
from rungs.storage import result_file
from rungs.study import keys
from rungs.study.keys import run_key
from rungs.tables import TABLES

CACHED = (keys._tree, keys.training_code, keys.prior_code, keys.evaluation_code)
KEYED = keys.COMPUTING | keys.SHOWING
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
FREE = [room for room in ROOMS if room not in KEYED]


def forget() -> None:
    for cached in CACHED:
        cached.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    copy = tmp_path / "rungs"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr("rungs.paths.PACKAGE", copy)
    yield copy
    forget()


def hashes() -> dict[str, str]:
    """The keys of every model's runs, of every data set, figure and table."""
    forget()
    modelled = [name for name in MODELS if name != "code-prior"]
    return {
        **{f"train {name}": keys.training_code(name) for name in modelled},
        **{f"evaluate {name}": keys.evaluation_code(name) for name in modelled},
        "train code-prior": keys.prior_code("code-prior"),
        **{f"data {name}": keys.code_hash(entry.module) for name, entry in DATASETS.items()},
        "data own": keys.code_hash("rungs.data.own"),
        "classifier": keys.code_hash("rungs.evaluation.classifier"),
        "calibration": keys.code_hash("rungs.evaluation.calibration"),
        **{f"figure {name}": keys.code_hash(entry.module) for name, entry in FIGURES.items()},
        **{
            f"table {name}": keys.code_hash(entry.module, *entry.rests_on)
            for name, entry in TABLES.items()
        },
    }


def stale(before: dict[str, str]) -> set[str]:
    after = hashes()
    return {name for name in before if before[name] != after[name]}


def change(path: Path) -> None:
    path.write_text(path.read_text() + "\nADDED = 1\n")


def runs_of(*models: str) -> set[str]:
    return {f"{stage} {model}" for model in models for stage in ("train", "evaluate")}


RUNS = runs_of(*MODELS) - runs_of("code-prior") | {"train code-prior"}
EVALUATIONS = {name for name in RUNS if name.startswith("evaluate")}
CHANGES = [
    ("models/ladder.py", runs_of("lvae")),
    ("models/vae.py", runs_of("vae")),
    ("models/hierarchy.py", runs_of("vae", "lvae")),
    ("models/vaegan.py", runs_of("vaegan")),
    ("models/networks.py", RUNS),
    ("numerics/seeds.py", RUNS | {"classifier", "calibration", "figure latent_scatter"}),
    ("evaluation/likelihood.py", EVALUATIONS | {"calibration"}),
    ("figures/ladder_pca.py", {"figure ladder_pca"}),
    ("figures/style.py", {f"figure {name}" for name in FIGURES}),
    ("tables/loglik.py", {"table loglik", "figure ladder_loglik", "figure ladder_depth"}),
    ("claims/ladder.py", {"table claims"}),
    ("data/mnist5k.py", {"data mnist5k"}),
    ("data/mnist.py", {"data mnist"}),
]


@pytest.mark.parametrize(("module", "expected"), CHANGES)
def test_what_a_change_makes_stale(package: Path, module: str, expected: set[str]) -> None:
    before = hashes()
    change(package / module)
    assert stale(before) == expected


@pytest.mark.parametrize("room", [*FREE, "models/cost"])
def test_a_room_that_neither_computes_nor_shows_makes_nothing_stale(
    package: Path, room: str
) -> None:
    before = hashes()
    for path in (package / room).rglob("*.py"):
        change(path)
    assert stale(before) == set()


def test_a_package_in_a_room_is_in_the_key_of_its_modules(package: Path) -> None:
    nested = package / "models" / "blocks"
    nested.mkdir()
    (nested / "__init__.py").write_text("SIZE = 1\n")
    (nested / "dense.py").write_text("UNITS = 2\n")
    ladder = package / "models" / "ladder.py"
    ladder.write_text("from rungs.models.blocks.dense import UNITS\n" + ladder.read_text())
    before = hashes()
    change(nested / "__init__.py")
    assert stale(before) == runs_of("lvae")


def test_modules_outside_rooms_and_registries_make_nothing_stale(package: Path) -> None:
    before = hashes()
    for path in (*package.glob("*.py"), *package.glob("*/__init__.py")):
        change(path)
    assert stale(before) == set()


@pytest.mark.parametrize("module", ["storage/locks.py", "storage/result_file.py"])
def test_a_reworded_message_makes_nothing_stale(package: Path, module: str) -> None:
    before = hashes()
    path = package / module
    text = path.read_text()
    reworded, count = re.subn(r"(raise \w+\(\s*f\"\{[^}]*\}: )", r"\1Reworded: ", text)
    assert count
    path.write_text(reworded)
    compile(reworded, path.name, "exec")
    assert stale(before) == set()


IN_NO_KEY = (
    "data/check.py",  # checks prepared data and makes none
    "models/cost/",  # estimates of time and memory, for scheduling
    "evaluation/ais.py",  # the verb `rungs ais`, whose numbers nothing stores
    "evaluation/annealing.py",  # its chains
    "evaluation/geometric_path.py",  # their path
)


def test_every_module_that_computes_is_in_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is forgotten, except those whose numbers no rule stores."""
    covered: set[str] = set()
    follow = keys.followed

    def noting(*modules: str) -> set[str]:
        covered.update(follow(*modules))
        return follow(*modules)

    monkeypatch.setattr(keys, "followed", noting)
    hashes()
    for room in sorted(keys.COMPUTING):
        for path in (PACKAGE / room).rglob("*.py"):
            name = path.relative_to(PACKAGE).as_posix()
            if path != PACKAGE / room / "__init__.py" and not name.startswith(IN_NO_KEY):
                module = f"rungs.{name.removesuffix('.py').replace('/', '.')}"
                assert module.removesuffix(".__init__") in covered


def test_comments_and_docstrings_make_nothing_stale(package: Path) -> None:
    before = hashes()
    path = package / "models" / "vae.py"
    text = path.read_text()
    path.write_text("# a comment\n" + text.replace('"""Each layer', '"""Every single layer'))
    assert path.read_text() != text
    assert stale(before) == set()


def test_the_claims_of_every_document_are_in_the_key_of_their_table() -> None:
    assert set(TABLES["claims"].rests_on) == set(DOCUMENTS.values())


def test_the_key_knows_settings_data_and_start(
    settings_of: Callable[..., dict[str, Any]], digits: Path, tmp_path: Path
) -> None:
    data = result_file.read(digits)
    changed = data.arrays | {"train/images": data["train/images"][::-1]}
    result_file.write(tmp_path / "other.h5", changed, data.attributes)
    (tmp_path / "start").write_bytes(b"weights")
    found = {
        run_key(settings_of(epochs=3), digits),
        run_key(settings_of(epochs=4), digits),
        run_key(settings_of(epochs=3), tmp_path / "other.h5"),
        run_key(settings_of(epochs=3), digits, tmp_path / "start"),
    }
    assert len(found) == 4
    assert run_key(settings_of(epochs=3), digits) in found
