"""Builds the wheel with the files of the repository that the library reads; the rest is in pyproject.toml."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

#: found by rungs.paths.ROOT in a wheel as in a clone
CARRIED = ("config/*.yaml", "resources/*.*", "workflow/schemas/*.yaml")


def carried(pattern: str) -> list[Path]:
    """The files of a pattern; in a clone those that git knows, since users keep their own profiles there."""
    found = sorted(Path().glob(pattern))
    if not Path(".git").exists():
        return found
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", pattern], capture_output=True, text=True, check=True
    )
    return [path for path in found if path.as_posix() in listed.stdout.split("\0")]


class BuildWithRepository(build_py):
    """Copies these files below the package; an editable installation reads those of the clone."""

    def run(self) -> None:
        """Build where no earlier build has left modules that are gone since, then copy."""
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        for pattern in CARRIED:
            found = carried(pattern)
            if not found:
                raise FileNotFoundError(f"{pattern}: is missing; build the wheel in a clone.")
            for path in found:
                target = Path(self.build_lib, "rungs", "repository", path)
                self.mkpath(str(target.parent))
                self.copy_file(str(path), str(target))


setup(cmdclass={"build_py": BuildWithRepository})
