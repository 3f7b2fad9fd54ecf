"""Whether a process is alive, on this machine and on another."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from rungs.storage import process as processes
from rungs.storage.process import DEAD_AFTER_SECONDS, identity, is_alive, start_time


def gone() -> float:
    raise FileNotFoundError


def never() -> float:
    raise AssertionError("a process of this place is looked up")


def test_a_process_of_this_place_is_looked_up() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    who = identity() | {"process": child.pid, "started": start_time(child.pid)}
    assert is_alive(identity(), never)
    assert is_alive(who, never)
    assert not is_alive(who | {"started": "another time"}, never), "its number was used again"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(who, never), "it has ended, though nobody has asked for its status"
    child.wait()
    assert not is_alive(who, never)


def test_a_process_elsewhere_lives_by_its_heartbeat() -> None:
    who = identity() | {"place": "another", "host": "another"}
    assert is_alive(who, lambda: DEAD_AFTER_SECONDS - 1)
    assert not is_alive(who, lambda: DEAD_AFTER_SECONDS + 1)
    assert not is_alive(who, gone)
    assert not is_alive({}, lambda: DEAD_AFTER_SECONDS + 1)


@pytest.mark.parametrize("place", ["boot a later one pid:[1]", "boot this one pid:[2]", None])
def test_a_host_name_and_a_number_are_no_process(place: str | None) -> None:
    """A machine that was restarted, another container of the same host name, a lock from before."""
    who = identity() | {"place": place}
    assert who["host"] == os.uname().nodename
    assert is_alive(who, lambda: DEAD_AFTER_SECONDS - 1)
    assert not is_alive(who, lambda: DEAD_AFTER_SECONDS + 1)


def test_a_place_is_a_boot_and_a_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes._place() == processes.PLACE
    if sys.platform == "linux":
        assert re.fullmatch(r"boot [0-9a-f-]{36} pid:\[\d+\]", processes.PLACE)
    # numbers of another namespace's /proc say nothing
    monkeypatch.setattr(processes.os, "getpid", lambda: 2**22 + 1)
    assert processes._place().startswith("nowhere")

    def hidden(path: str) -> str:
        raise PermissionError

    monkeypatch.setattr(processes.os, "readlink", hidden)
    assert processes._place() == f"host {os.uname().nodename}"


@pytest.mark.parametrize("number", [None, 0, -1, "x", 2**22 + 1, 10**30])
def test_what_is_no_process_is_dead(number: object) -> None:
    assert start_time(number) is None
    assert not is_alive(identity() | {"process": number}, never)
