"""What keeps results whole under faults, and a small fixed part of the harness in tests/faults
(all of it: make test-faults)."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rungs import cli
from rungs.errors import RungsError
from rungs.jobs.train import tidy
from rungs.storage import result_file
from rungs.storage.atomic import ABANDONED_AFTER_SECONDS, FREE_SPACE, temporary_name, write_text
from rungs.storage.beacon import PROGRESS_FILE
from rungs.storage.locks import locked
from rungs.storage.process import MACHINE, PLACE, writer
from rungs.storage.tensors import save_tensors

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
from kinds import cut_power, everything
from place import Place, differences

WRITERS: dict[str, Callable[[Path], None]] = {
    "text.csv": lambda path: write_text(path, "a,b\n"),
    "store.h5": lambda path: result_file.write(
        path, {"x": np.random.default_rng(0).random(9000)}, {"a": 1}
    ),
    "weights.safetensors": lambda path: save_tensors(path, {"x": torch.rand(9000)}, {}),
}
#: a process that is gone: numbers end before this one on Linux
GONE = 2**22 + 1


# --- written, synced, renamed, the folder synced ------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_is_synced_before_it_is_renamed_and_its_folder_after(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, int, int]] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        real_fsync(descriptor)
        status = os.fstat(descriptor)
        done.append(("sync", status.st_ino, status.st_size))

    def replace(old: Path, new: Path) -> None:
        status = Path(old).stat()
        done.append(("rename", status.st_ino, status.st_size))
        real_replace(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    WRITERS[name](tmp_path / name)
    file, folder = (tmp_path / name).stat(), tmp_path.stat()
    assert [(what, inode) for what, inode, _ in done] == [
        ("sync", file.st_ino),
        ("rename", file.st_ino),
        ("sync", folder.st_ino),
    ]
    assert done[0][2] == done[1][2] == file.st_size  # all of it was there when it was synced


# --- what a killed process leaves ------------------------------------------------------------------


def test_temporary_files_of_killed_writers_go_with_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    gone = [f".table.{MACHINE}-{GONE}-aa.part.csv", f".table.{MACHINE}-{os.getpid()}-aa.part.csv"]
    old = ".table.another-1-aa.part.csv"
    kept = {
        f".table.{MACHINE}-{os.getppid()}-aa.part.csv",  # lives
        ".table.another-2-aa.part.csv",  # on another machine, just written
        f".table.{MACHINE}-{GONE}-aa.part.md",  # of another file
        f".tables.{MACHINE}-{GONE}-aa.part.csv",
    }
    for name in (*gone, old, *kept):
        (tmp_path / name).write_text("half")
    past = path.parent.stat().st_mtime - ABANDONED_AFTER_SECONDS - 60
    os.utime(tmp_path / old, (past, past))
    write_text(path, "whole")
    assert {p.name for p in tmp_path.iterdir()} == {"table.csv", *kept}
    assert temporary_name(path).name == f".table.{writer()}.part.csv"


def test_what_a_process_left_that_was_killed_at_the_very_end_is_taken_away(tmp_path: Path) -> None:
    dead = {"token": "x", "place": PLACE, "process": GONE, "started": "1"}
    left = {
        ".lock": json.dumps(dead),
        ".lock-removal": json.dumps(dead),
        f"..lock.{MACHINE}-{GONE}-aa.part": "",
        PROGRESS_FILE: "{}",
        f".{PROGRESS_FILE}.part": "{",
        "checkpoint-0123.safetensors": "",
        f".checkpoint-0123.{MACHINE}-{GONE}-aa.part.safetensors": "",
    }
    results = {"weights.safetensors", "training.h5", "training-cost.json"}
    results.add("checkpoint-4567.safetensors")  # of other settings, which may be continued
    for name in (*left, *results):
        (tmp_path / name).write_text(left.get(name, ""))
    with locked(tmp_path / "other"):
        pass
    (tmp_path / "other").rmdir()
    tidy(tmp_path, "0123")
    assert {p.name for p in tmp_path.iterdir()} == results
    with locked(tmp_path):  # a living process is left alone
        (tmp_path / "checkpoint-0123.safetensors").write_text("")
        tidy(tmp_path, "0123")
        assert (tmp_path / "checkpoint-0123.safetensors").exists()


# --- no space, no permission -----------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_a_write_without_space_is_told(name: str, tmp_path: Path) -> None:
    """HDF5 crashed the process when its last block could not be written."""
    write, before = WRITERS[name], resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 1, 5000, 20000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            if name == "text.csv" and limit > 1:
                write(tmp_path / name)
                continue
            with pytest.raises(RungsError, match=f"{name}: cannot be written") as told:
                write(tmp_path / name)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert FREE_SPACE in str(told.value)
        assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_locked_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        RungsError, match=r"file/run: cannot be written.*run the same command again"
    ):
        locked(tmp_path / "file/run").__enter__()


def test_an_error_of_the_disk_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise OSError(30, "Read-only file system", "results/quick/work/x")

    monkeypatch.setattr(cli, "cli", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith(
        "rungs: results/quick/work/x: Read-only file system. Free some disk space"
    )


# --- the harness itself ----------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder that commands can run in, with the package and without results."""
    made = Place(tmp_path / "reference")
    made.make()
    return made


def python(place: Place, code: str, at: int = 0) -> int:
    return place.run([sys.executable, "-c", code], at).status


def test_the_harness_sees_what_differs(place: Place, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        write_text(place.folder / "results" / name, name)
    same, other = place.copy(tmp_path / "same"), place.copy(tmp_path / "other")
    assert differences(same.folder, place.folder) == []
    other.delete(["results/a.csv"])
    write_text(other.folder / "results/b.csv", "B.csv")
    write_text(other.folder / "results/.c.1.part.csv", "")
    assert differences(other.folder, place.folder) == [
        "results/.c.1.part.csv is left over",
        "results/a.csv is missing",
        "results/b.csv has other bytes",
    ]


def test_a_power_cut_takes_what_was_not_synced(place: Place) -> None:
    code = (
        "from pathlib import Path; from rungs.storage.atomic import write_text; "
        "write_text('results/synced.csv', 'x' * 100); Path('results/not.csv').write_text('x' * 100)"
    )
    write_text(place.folder / "results/before.csv", "x" * 100)
    before = everything(place.folder)
    assert python(place, code) == 0
    points = [p.rpartition("/")[2].split(".")[-1] for p in place.points()]
    assert points == ["csv", "csv", "csv", "results", "csv", "csv"], place.points()
    lost = cut_power(place, before, random.Random(0))
    assert [line.split()[0] for line in lost] == ["not.csv"]
    for name in ("synced.csv", "before.csv"):
        assert (place.folder / "results" / name).read_text() == "x" * 100
    # and between rename and the folder's sync, the rename
    place.delete(["results/not.csv", "results/synced.csv"])
    assert python(place, code, at=4) == -signal.SIGKILL
    assert (place.folder / "results/synced.csv").exists()
    lost = cut_power(place, before, random.Random(0))
    assert lost == ["synced.csv not renamed"]
    assert python(place, code) == 0
    assert sorted(p.name for p in (place.folder / "results").iterdir()) == [
        "before.csv",
        "not.csv",
        "synced.csv",
    ]


@pytest.mark.parametrize("at", [1, 3])
def test_data_preparation_killed_before_a_write(at: int, digits: Path, place: Place) -> None:
    command = [sys.executable, "-m", "rungs", "prepare", "mnist5k", "--config", "faults.yaml"]
    assert place.run(command, at).status == -signal.SIGKILL
    assert place.run(command).status == 0
    folder = place.folder / "results/data"
    assert (folder / "mnist5k.h5").read_bytes() == digits.read_bytes()
    assert [p.name for p in folder.iterdir()] == ["mnist5k.h5"]
