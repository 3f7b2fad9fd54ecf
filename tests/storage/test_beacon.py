"""Beacons: only those of living processes are believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rungs.storage import process
from rungs.storage.beacon import PROGRESS_FILE, Beacon, read_beacon, working
from rungs.storage.process import DEAD_AFTER_SECONDS


def test_only_the_living_are_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / PROGRESS_FILE
    with working(tmp_path, "a/b", "evaluate"):
        content = read_beacon(tmp_path)
        assert content is not None
        assert (content["run"], content["process"]) == ("a/b", os.getpid())
    assert not path.exists()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    child = gone.pid
    path.write_text(json.dumps(content | {"process": child}))
    assert read_beacon(tmp_path) is None, "its process is gone"
    path.write_text(json.dumps(content | {"process": child, "place": "elsewhere"}))
    assert read_beacon(tmp_path) is not None
    old = time.time() - DEAD_AFTER_SECONDS - 1
    os.utime(path, (old, old))
    assert read_beacon(tmp_path) is None, "it has not been touched for minutes"
    path.write_text("{")
    assert read_beacon(tmp_path) is None
    monkeypatch.setattr(process, "HEARTBEAT_SECONDS", 0.01)
    beacon = Beacon({tmp_path: {"run": "a", "stage": "train"}})
    os.utime(path, (old, old))
    deadline = time.monotonic() + 5
    while path.stat().st_mtime < old + 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert read_beacon(tmp_path) is not None, "its heart beats"
    beacon.close()


def test_a_beacon_is_written_now_and_then_and_harms_nobody(tmp_path: Path) -> None:
    beacon = Beacon({tmp_path / "a": {"run": "a", "stage": "train"}})
    asked: list[int] = []
    for _ in range(1000):
        beacon.show(lambda: asked.append(1) or {})
    assert len(asked) <= 2, "at most once a second"
    beacon.close()
    (tmp_path / "file").write_text("")
    Beacon({tmp_path / "file" / "below": {"run": "a", "stage": "train"}}).close()
