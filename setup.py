"""Builds the wheel with the files of the repository that the library reads; the rest is in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

#: found by rungs.paths.ROOT in a wheel as in a clone
CARRIED = ("config/*.yaml", "resources/*", "workflow/schemas/*.yaml")


class BuildWithRepository(build_py):
    """Copies these files below the package; an editable installation reads those of the clone."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if self.editable_mode:
            return
        for pattern in CARRIED:
            found = sorted(Path().glob(pattern))
            if not found:
                raise FileNotFoundError(f"{pattern}: is missing; build the wheel in a clone.")
            for path in found:
                target = Path(self.build_lib, "rungs", "repository", path)
                self.mkpath(str(target.parent))
                self.copy_file(str(path), str(target))


setup(cmdclass={"build_py": BuildWithRepository})
