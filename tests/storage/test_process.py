"""Whether a process is alive, on this machine and on another."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rungs.storage.process import DEAD_AFTER_SECONDS, identity, is_alive, start_time


def gone() -> float:
    raise FileNotFoundError


def never() -> float:
    raise AssertionError("a process of this machine is looked up")


def test_a_process_of_this_machine_is_looked_up() -> None:
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
    who = identity() | {"host": "another"}
    assert is_alive(who, lambda: DEAD_AFTER_SECONDS - 1)
    assert not is_alive(who, lambda: DEAD_AFTER_SECONDS + 1)
    assert not is_alive(who, gone)
    assert not is_alive({}, lambda: DEAD_AFTER_SECONDS + 1)


@pytest.mark.parametrize("number", [None, 0, -1, "x", 2**22 + 1, 10**30])
def test_what_is_no_process_is_dead(number: object) -> None:
    assert start_time(number) is None
    assert not is_alive(identity() | {"process": number}, never)
