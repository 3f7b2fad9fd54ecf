"""Locks of runs: one living writer, dead ones are known, on one machine and on several."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rungs.errors import RungsError
from rungs.storage import locks
from rungs.storage import process as processes
from rungs.storage.locks import _remove_dead, locked
from rungs.storage.process import DEAD_AFTER_SECONDS, PLACE

#: its heart beats fast, so that nobody waits long for a sign of its life
HOLD = "import sys, time; from pathlib import Path; from rungs.storage.locks import locked\n" + (
    "from rungs.storage import process; process.HEARTBEAT_SECONDS = 0.5\n"
    "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


#: a command in a container, as far as process numbers go: it has the number 1
CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def hold(folder: Path, *container: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*container, sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_two_writers_of_one_run_are_refused(tmp_path: Path) -> None:
    with locked(tmp_path):
        second = locked(tmp_path)
        with pytest.raises(RungsError, match=f"process {os.getpid()} on {os.uname().nodename}"):
            second.__enter__()
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_holder_is_known_at_once(tmp_path: Path) -> None:
    process = hold(tmp_path)
    second = locked(tmp_path)
    with pytest.raises(RungsError, match=f"process {process.pid}"):
        second.__enter__()
    process.kill()
    process.wait()
    with locked(tmp_path):
        pass


def foreign(folder: Path, age: float, process: int = 1) -> Path:
    """The lock of a process on another machine, last touched ``age`` seconds ago."""
    path = folder / ".lock"
    who = {"token": "x", "host": "another", "place": "another"}
    who |= {"process": process, "started": "1"}
    path.write_text(json.dumps(who))
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of a holder elsewhere is looked at often."""
    monkeypatch.setattr(locks, "LOOK_SECONDS", 0.05)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("sign", ["touch", "unlink"])
def test_a_holder_elsewhere_lives_by_its_heartbeat(tmp_path: Path, sign: str) -> None:
    path = foreign(tmp_path, age=DEAD_AFTER_SECONDS / 2)
    threading.Timer(0.3, getattr(path, sign)).start()
    first = locked(tmp_path)
    with pytest.raises(RungsError, match="process 1 on another"):
        first.__enter__()
    foreign(tmp_path, age=DEAD_AFTER_SECONDS * 2)
    with locked(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["host"] == os.uname().nodename


@pytest.mark.usefixtures("hurried")
def test_a_job_that_starts_anew_elsewhere_waits_until_its_first_start_is_dead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A node died a while ago, but not long enough for its lock to be old."""
    foreign(tmp_path, age=DEAD_AFTER_SECONDS - 1)
    impatient = locked(tmp_path, patient=False)
    with pytest.raises(RungsError, match="process 1 on another"):
        impatient.__enter__()
    began = time.monotonic()
    with locked(tmp_path):
        assert time.monotonic() - began > 0.5
    assert "waiting for a sign of its life" in capsys.readouterr().err


def containers() -> bool:
    try:
        return (
            subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode == 0
        )
    except OSError:
        return False


@pytest.mark.skipif(not containers(), reason="namespaces of process numbers cannot be made")
def test_a_holder_in_another_container_is_not_taken_for_another_process(tmp_path: Path) -> None:
    """Two containers with the same host name on the same files: both holders have the number 1."""
    process = hold(tmp_path, *CONTAINER)
    path = tmp_path / ".lock"
    assert json.loads(path.read_text())["process"] == 1
    second = locked(tmp_path)
    with pytest.raises(RungsError, match=r"process 1 on .* cannot be seen from here"):
        second.__enter__()
    code = HOLD.replace("print('held', flush=True)", "pass").replace("time.sleep(60)", "pass")
    beside = [*CONTAINER, sys.executable, "-c", code, str(tmp_path)]
    turned_away = subprocess.run(beside, capture_output=True, text=True, check=False)
    assert "process 1 on" in turned_away.stderr
    process.kill()
    process.wait()
    # the container is started again: its lock counts until its holder has been silent for long enough
    os.utime(path, (time.time() - DEAD_AFTER_SECONDS * 2,) * 2)
    assert subprocess.run(beside, check=False).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_number_given_to_another_process_is_no_holder(tmp_path: Path) -> None:
    """Same place, a living process of that number, but started at another time."""
    path = foreign(tmp_path, age=0, process=os.getpid())
    who = json.loads(path.read_text()) | {"place": PLACE}
    path.write_text(json.dumps(who))
    with locked(tmp_path):
        assert json.loads(path.read_text())["token"] != who["token"]


def test_the_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "HEARTBEAT_SECONDS", 0.05)
    with locked(tmp_path):
        path = tmp_path / ".lock"
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_half_written_lock_does_not_last(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    path.write_text("{")
    with locked(tmp_path):
        assert json.loads(path.read_text())["process"] == os.getpid()


def test_a_lock_made_meanwhile_is_not_removed(tmp_path: Path) -> None:
    """One process judges a holder dead; before it acts another has taken the lock over."""
    dead = json.loads(foreign(tmp_path, age=1000).read_text())
    mine = tmp_path / ".lock-late"
    mine.write_text("{}")
    with locked(tmp_path):
        _remove_dead(tmp_path / ".lock", dead["token"], mine)
        assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()
    assert not (tmp_path / ".lock-removal").exists()


def test_a_removal_that_died_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign(tmp_path, age=1000)
    guard = tmp_path / ".lock-removal"
    guard.write_text("{}")
    os.utime(guard, (time.time() - 1000,) * 2)
    with locked(tmp_path):
        assert not guard.exists()


def test_of_many_one_gets_the_lock(tmp_path: Path) -> None:
    """Eight processes at a dead holder's lock: one writes, seven are turned away."""
    foreign(tmp_path, age=1000)
    code = HOLD.replace("time.sleep(60)", "time.sleep(8)")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(8)
    ]
    held = [racer.communicate(timeout=60)[0] for racer in racers]
    assert held.count("held\n") == 1
