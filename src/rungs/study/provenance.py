"""The origin of a result: commit, versions and machine, as every result file carries them."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rungs.numerics.processor import processor_name
from rungs.paths import ROOT, __version__


@functools.cache
def describe() -> dict[str, Any]:
    """Commit, versions and machine, as every result file carries them."""
    packages = ("torch", "numpy", "scipy", "scikit-learn", "h5py", "snakemake")
    return {
        "rungs": _version("rungs"),
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in packages},
        "machine": f"{platform.system()} {platform.machine()}, {processor_name()}",
    }


def _version(package: str) -> str:
    try:
        return __version__ if package == "rungs" else version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit of the clone, with ``+`` where tracked files differ from it; ``unknown`` without one.

    Only the repository that the clone itself is may answer: git would look in the folders above an
    unpacked archive, and obey the variables of a hook that calls us. Naming the repository also
    spares the question whose it is, which git puts in a container.
    """
    repository = ROOT / ".git"  # a folder, or a file in a worktree or submodule
    if not repository.exists():
        return "unknown"
    git = ["git", f"--git-dir={repository}", f"--work-tree={ROOT}", "-C", str(ROOT)]
    try:
        # in a repository of something else, into which the archive was unpacked, it is not tracked
        _ask([*git, "ls-files", "--error-unmatch", "--", __file__])
        return _ask([*git, "describe", "--always", "--abbrev=12", "--dirty=+"])
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _ask(command: list[str]) -> str:
    variables = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    variables["GIT_OPTIONAL_LOCKS"] = "0"  # jobs side by side must not write the index
    done = subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()
