"""The origin of a result: commit, versions and machine, as every result file carries them."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rungs.paths import PACKAGE, __version__


@functools.cache
def describe() -> dict[str, Any]:
    """Commit, versions and machine, as every result file carries them."""
    packages = ("torch", "numpy", "scipy", "scikit-learn", "h5py", "snakemake")
    return {
        "rungs": _version("rungs"),
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in packages},
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
    }


def _version(package: str) -> str:
    try:
        return __version__ if package == "rungs" else version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit of the clone, with ``+`` where tracked files differ from it."""
    try:
        git = ["git", "-C", str(PACKAGE), "describe", "--always", "--abbrev=12", "--dirty=+"]
        done = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"
