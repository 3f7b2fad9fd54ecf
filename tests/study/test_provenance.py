"""Results say where they come from, and name no commit but that of their own clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rungs.paths import PACKAGE
from rungs.study import provenance

ME = ["-c", "user.email=a@example.org", "-c", "user.name=a"]


def git(folder: Path, *words: str) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    command = ["git", "-C", str(folder), *ME, *words]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(clone: Path, **variables: str) -> str:
    """The commit that the package in ``clone`` states, in a process of its own."""
    code = "from rungs.study.provenance import describe; print(describe()['commit'])"
    environment = os.environ | {"PYTHONPATH": str(clone / "src")} | variables
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=environment, cwd=clone, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def unpacked(folder: Path) -> Path:
    """The package as an archive without .git brings it."""
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, folder / "src" / "rungs", ignore=leave)
    return folder


@pytest.fixture
def thesis(tmp_path: Path) -> Path:
    """Another repository, with a tag that describe would find."""
    folder = tmp_path / "thesis"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "my thesis")
    git(folder, "tag", "v9.9-thesis")
    return folder


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = unpacked(tmp_path / "clone")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "rungs")
    return folder


def test_results_say_where_they_come_from() -> None:
    found = provenance.describe()
    assert {"rungs", "commit", "python", "packages", "machine"} <= set(found)
    assert found["packages"]["torch"].startswith("2.")


@pytest.mark.parametrize("place", ["rungs", "."])
def test_an_archive_in_another_repository_has_no_commit(thesis: Path, place: str) -> None:
    folder = unpacked(thesis / place)
    assert commit(folder) == "unknown"
    if place == "rungs":  # nor where it was committed to the other one
        git(thesis, "add", "-A")
        git(thesis, "commit", "-q", "-m", "vendored")
        assert commit(folder) == "unknown"


def test_a_clone_states_its_own_commit_whatever_the_environment_says(
    clone: Path, thesis: Path
) -> None:
    own = git(clone, "rev-parse", "--short=12", "HEAD")
    for variables in (
        {},
        {"GIT_DIR": str(thesis / ".git")},
        {"GIT_DIR": str(thesis / ".git"), "GIT_WORK_TREE": str(thesis)},
        {"GIT_INDEX_FILE": str(thesis / ".git/index")},
        {"GIT_CEILING_DIRECTORIES": str(clone)},
        {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"},
        {"HOME": "/nonexistent"},
    ):
        assert commit(clone, **variables) == own, variables
    assert commit(clone, PATH="/nonexistent") == "unknown"
    (clone / "src/rungs/paths.py").open("a").write("# changed\n")
    assert commit(clone) == f"{own}+"


def test_a_clone_of_another_owner_states_its_commit(clone: Path) -> None:
    """As one that is mounted into a container."""
    if os.getuid() != 0:
        pytest.skip("only root can give a clone away")
    own = git(clone, "rev-parse", "--short=12", "HEAD")
    for path in (clone, *clone.rglob("*")):
        os.chown(path, 65534, 65534)
    assert commit(clone) == own


def test_worktrees_and_submodules_state_their_own_commit(
    clone: Path, thesis: Path, tmp_path: Path
) -> None:
    own = git(clone, "rev-parse", "--short=12", "HEAD")
    git(clone, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert commit(tmp_path / "tree") == own
    git(thesis, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(clone), "rungs")
    assert commit(thesis / "rungs") == own
