"""Folders in which the real workflow runs and is disturbed: an undisturbed one, and copies of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any

import warm

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CONFIGS = {"faults": ("faults.yaml",), "faults-packs": ("faults.yaml", "packs.yaml")}
#: files that hold times, or sums over those that do: their bytes differ between undisturbed runs too
TIMES = (
    *("*.log", "*-cost.json", "*/likelihood-*of*.json", "*/tables/compute.*", "*/report.html"),
    "*/ro-crate-metadata.json",
)
#: what may be there or not
OPTIONAL = ("*.log",)
#: what commands do not need that a copy of this process does (see warm.py)
LEAN = ("src", "workflow", "envs", "config", "profiles", ".snakemake")
LIMIT_SECONDS = 600


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    output: str
    seconds: float

    @property
    def told(self) -> bool:
        """Whether it failed with words for its user, not with a traceback."""
        return self.status != 0 and "Traceback" not in self.output and self.output.strip() != ""


@dataclass(frozen=True)
class Running:
    """A command that was started."""

    process: subprocess.Popen[bytes] | warm.Forked
    output: IO[str]
    began: float

    @property
    def pid(self) -> int:
        """The number of the process, and of its group."""
        return self.process.pid

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def end(self, limit: int = LIMIT_SECONDS) -> Ended:
        """Wait for its end; what takes longer than ``limit`` seconds hangs, and is ended."""
        hung = ""
        try:
            status = self.process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            status = self.process.wait()
            hung = "\n(hung, and was ended)"
        self.output.seek(0)
        text = self.output.read()
        return Ended(status, text + hung, time.monotonic() - self.began)


class Place:
    """A folder with a clone of what the workflow needs, in which its commands run.

    Args:
        folder: where it is, or will be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._aside: list[str] = []

    @property
    def notes(self) -> Path:
        """What the processes noted (see hook/sitecustomize.py)."""
        return self.folder.with_name(f"{self.folder.name}.notes")

    def make(self) -> None:
        """Copy the workflow, without results."""
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for name in ("config", "workflow", "src", "resources", "envs"):
            shutil.copytree(ROOT / name, self.folder / name, ignore=ignore)
        shutil.copy(ROOT / "Snakefile", self.folder)
        for name in CONFIGS["faults-packs"]:
            shutil.copy(HERE / name, self.folder)
        (self.folder / "profiles").symlink_to("workflow/profiles")

    def copy(self, target: Path, command: Sequence[str] = ()) -> Place:
        """A copy of everything that ``command`` needs, with the same times."""
        lean = warm.loaded() and list(command[1:3]) == ["-m", "rungs"]

        def ignore(folder: str, names: list[str]) -> list[str]:
            return [name for name in names if lean and folder == str(self.folder) and name in LEAN]

        shutil.copytree(self.folder, target, symlinks=True, dirs_exist_ok=True, ignore=ignore)
        return Place(target)

    def remove(self) -> None:
        """Take the folder and its notes away."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.notes.unlink(missing_ok=True)

    def delete(self, patterns: Iterable[str]) -> None:
        """Delete results, so that they have to be made again."""
        for pattern in patterns:
            for path in sorted(self.folder.glob(pattern)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def set_aside(self, patterns: Sequence[str]) -> None:
        """Delete results that the command would take over instead of making its own, until
        :meth:`bring_back`."""
        self.delete(patterns)
        self._aside += patterns

    def bring_back(self, reference: Path) -> None:
        """Copy what was set aside from the undisturbed folder."""
        for pattern in self._aside:
            for path in reference.glob(pattern):
                target = self.folder / path.relative_to(reference)
                target.parent.mkdir(parents=True, exist_ok=True)
                if path.is_dir():
                    shutil.copytree(path, target, dirs_exist_ok=True)
                else:
                    shutil.copy2(path, target)
        self._aside = []

    def start(self, command: Sequence[str], at: int = 0, **more: Any) -> Running:
        """Start a command in a process group of its own.

        Args:
            at: the write before which it is to end itself; 0 for none.
        """
        self.notes.unlink(missing_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RUNGS_", "SNAKEMAKE"))}
        environment = kept | {
            "PYTHONDONTWRITEBYTECODE": "1",  # the writes that are counted are those of rungs
            "PYTHONPATH": os.pathsep.join([str(HERE / "hook"), str(self.folder / "src")]),
            "FAULTS_FOLDER": str(self.folder),
            "FAULTS_NOTES": str(self.notes),
            "FAULTS_AT": str(at),
            "OMP_NUM_THREADS": "1",
        }
        # a file, for a pipe would be held open by jobs that outlive their workflow
        output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read when the process has ended
        if warm.loaded() and list(command[:3]) == [sys.executable, "-m", "rungs"]:
            first = more.get("preexec_fn")
            forked = warm.Forked(command[3:], self.folder, environment, output, first)
            return Running(forked, output, time.monotonic())
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **more,
        )
        return Running(process, output, time.monotonic())

    def run(self, command: Sequence[str], at: int = 0, **more: Any) -> Ended:
        """Run a command to its end."""
        return self.start(command, at, **more).end()

    def points(self) -> list[str]:
        """The writes of the last command, in order."""
        if not self.notes.exists():
            return []
        lines = [line.split("\t") for line in self.notes.read_text().splitlines()]
        return [fields[2] for fields in lines if fields[0] == "point"]


def rungs(*arguments: str, profile: str = "faults") -> list[str]:
    """The command line of a verb."""
    configs = [part for name in CONFIGS[profile] for part in ("--config", name)]
    return [sys.executable, "-m", "rungs", *arguments, *configs]


def snakemake(*arguments: str, profile: str = "faults") -> list[str]:
    """The command line of the workflow."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return [*command, "--configfile", *CONFIGS[profile]]


def files(folder: Path) -> dict[str, Path]:
    """Every file below results and resources, by its relative path."""
    found = (p for top in ("results", "resources") for p in (folder / top).rglob("*"))
    return {p.relative_to(folder).as_posix(): p for p in found if p.is_file() or p.is_symlink()}


def differences(case: Path, reference: Path) -> list[str]:
    """What differs from the undisturbed folder: files that are missing, left over or of other bytes;
    of files with times, what can be compared of them."""
    ours, theirs = files(case), files(reference)
    names = sorted(ours.keys() | theirs.keys())
    found = []
    for name in names:
        if _matches(name, OPTIONAL):
            continue
        if name not in ours:
            found.append(f"{name} is missing")
        elif name not in theirs:
            found.append(f"{name} is left over")
        elif _matches(name, TIMES):
            found += [f"{name} {why}" for why in _timed(ours[name], theirs[name])]
        elif ours[name].read_bytes() != theirs[name].read_bytes():
            found.append(f"{name} has other bytes")
    for name in ("locks", "incomplete"):
        left = list((case / ".snakemake" / name).glob("*"))
        found += [f"{path.relative_to(case)} is left over" for path in left]
    return found


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _timed(ours: Path, theirs: Path) -> list[str]:
    """Why a file with times is not what it should be."""
    if ours.name == "report.html":
        whole = ours.read_text(encoding="utf-8", errors="replace").rstrip().endswith("</html>")
        same = abs(ours.stat().st_size / theirs.stat().st_size - 1) < 0.05
        return [] if whole and same else ["is not whole"]
    if ours.suffix == ".json":
        try:
            mine, other = (_timeless(json.loads(path.read_text())) for path in (ours, theirs))
        except ValueError:
            return ["is not whole"]
        return [] if mine == other else ["has other content"]
    lines = [path.read_text().count("\n") for path in (ours, theirs)]
    return [] if lines[0] == lines[1] else ["has another number of lines"]


def _timeless(content: Any) -> Any:
    """A cost file's keys, or a crate's entities without times and what is summed over files with times."""
    if "@graph" not in content:
        return sorted(content)
    clocks = {"datePublished", "startTime", "endTime"}
    entities = [{k: v for k, v in e.items() if k not in clocks} for e in content["@graph"]]
    sums = {"sha256", "contentSize"}
    return [
        {k: v for k, v in e.items() if k not in sums} if "tables/compute" in e["@id"] else e
        for e in entities
    ]
