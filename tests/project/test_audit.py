"""The status of `make audit`: nothing known, something known, not looked up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rungs.paths import ROOT

SCRIPT = ROOT / "scripts/audit.py"
AUDITOR = ROOT / ".venv/audit/bin/python"

KNOWN = {"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["1.1"]}]}
SOUND = {"name": "b", "version": "1", "vulns": []}
SKIPPED = {"name": "c", "skip_reason": "c could not be audited"}


def run(python: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    pins = folder / "pins.txt"
    pins.write_text("pip-audit==2.10.1\n")
    return subprocess.run(
        [python, SCRIPT, pins],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([SOUND], 0, "audit: 1 packages looked up"),
        ([SOUND, KNOWN], 1, "a 1: X-1, fixed in 1.1"),
        ([SOUND, KNOWN, SKIPPED], 1, "a 1: X-1, fixed in 1.1"),
        ([SOUND, SKIPPED], 3, "1 of 2 packages could not be looked up"),
        (None, 3, "nothing could be looked up"),
    ],
)
def test_each_answer_has_a_status_of_its_own(
    packages: list[dict[str, Any]] | None, status: int, said: str, tmp_path: Path
) -> None:
    answer = "" if packages is None else json.dumps({"dependencies": packages, "fixes": []})
    (tmp_path / "pip_audit.py").write_text(f"print({answer!r})\n")
    done = run(sys.executable, tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr


def test_an_unreachable_service_is_no_clean_bill(tmp_path: Path) -> None:
    """The real auditor, behind a proxy that does not answer."""
    if not AUDITOR.exists():
        pytest.skip("no auditor: make audit installs it")
    done = run(AUDITOR, tmp_path, HTTPS_PROXY="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9")
    assert done.returncode == 3
    assert done.stderr.startswith("audit: nothing could be looked up")
    assert len(done.stderr.splitlines()) == 1
