"""Evidence: what tables, claims and figures need of a profile's runs, in a folder for a repository.

==================================  ===============================================================
file                                content
==================================  ===============================================================
``SHA256SUMS``                      of every other file, as ``sha256sum -c`` reads it
``configuration.json``              the complete configuration, its experiments those of the runs
                                    that are here
``runs/<run>/training.h5`` ...      files of the runs, laid out as in ``results/<profile>/``, with the
                                    arrays of :mod:`rungs.exchange.reduction`; no weights
``calibration.h5``                  the estimates on the linear Gaussian model, if the profile has them
``tables/claims.csv, loglik.csv``   made from these files
==================================  ===============================================================

A folder may come from elsewhere, and is trusted as little as an archive: names are those of the format,
files are plain ones with the sums of the list, and an HDF5 file is looked at by a process of its own first.
The sums are written last. A folder whose writing was interrupted is the one from before with files that no
list names, or one whose list has runs alone, which the next collection completes.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import groupby
from pathlib import Path

from rungs.data import own_data
from rungs.errors import ArchiveError, ConfigError, RungsError, StoreError
from rungs.exchange.archive_format import MOST_BYTES, MOST_JSON
from rungs.exchange.description import as_json
from rungs.exchange.reduction import Use, slim_evaluation, slim_history, uses
from rungs.storage import hdf5, result_file
from rungs.storage.atomic import sha256, write_bytes
from rungs.storage.cost_file import read_seconds
from rungs.study import profile as configuration
from rungs.study.identity import check_evaluated, check_prior
from rungs.study.layers import Config
from rungs.study.layout import (
    EVALUATION,
    EVALUATION_COST,
    HISTORY,
    TRAINING_COST,
    Layout,
    inputs,
)
from rungs.study.runs import PRIOR_FOLDER, SIZES, Run, runs
from rungs.study.settings import code_prior_settings
from rungs.tables import TABLES, to_csv

SUMS, CONFIGURATION, CALIBRATION, RUNS = (
    "SHA256SUMS",
    "configuration.json",
    "calibration.h5",
    "runs",
)
RUN_FILES = (HISTORY, EVALUATION, TRAINING_COST, EVALUATION_COST)
PRIOR_FILES = (f"{PRIOR_FOLDER}/{HISTORY}", f"{PRIOR_FOLDER}/{TRAINING_COST}")
#: the tables that are kept, by which a folder is checked
KEPT_TABLES = ("claims", "loglik")
#: what is made from the runs
MADE = (CONFIGURATION, *(f"tables/{name}.csv" for name in KEPT_TABLES))
#: files that a process of its own looks at together
LOOKED_AT = 40

Sums = dict[str, str]


@dataclass
class Collected:
    """What a collection did: runs that it added, that were there, and that it left, with the reason."""

    added: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def collect(config: Config, folder: Path) -> Collected:
    """Add the finished runs of a profile to a folder of evidence.

    A run that is there stays as it is, byte for byte; runs that are not below the working folder stay too.

    Raises:
        ArchiveError: if the folder holds evidence that is damaged.
        ConfigError: if it holds that of another profile or of other settings.
        StoreError: if a finished run is damaged, or no run is finished.
    """
    if own := sorted(own_data(config)):
        raise ConfigError(
            f"configuration key datasets.{own[0]}: evidence is of data that others can prepare, not of "
            "one's own images; hand these runs on as archives (rungs export)."
        )
    layout, found = Layout(config["profile"]), Collected()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        root = place / layout.root
        before = _open_before(config, folder, place)
        present = {run for run in runs(config) if (root / RUNS / run.path).is_dir()}
        used = uses(config)
        for run in runs(config):
            if run in present:
                found.kept.append(run.path)
            elif reason := unfinished(config, run) or _add(config, run, place, used[run]):
                found.left[run.path] = reason
            else:
                present.add(run)
                found.added.append(run.path)
        if not present:
            raise StoreError(f"{layout.runs}: has no finished run; run the profile first.")
        calibration = Path(layout.calibration)
        if calibration.is_file() and not (root / CALIBRATION).is_file():
            write_bytes(root / CALIBRATION, calibration.read_bytes())
        reduced = of_runs(config, present)
        write_bytes(root / CONFIGURATION, as_json(reduced))
        with chdir(place):
            for name, text in make_tables(reduced).items():
                write_bytes(layout.table(name, ".csv"), text.encode())
        _bring_home(root, folder, before)
    return found


def _open_before(config: Config, folder: Path, place: Path) -> Sums:
    """Open what a folder holds, if it is of the same profile and settings; the sums of its files."""
    if not (folder / SUMS).is_file():
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder}: is no folder; name one for the evidence.")
        if folder.is_dir() and any(entry.name != RUNS for entry in folder.iterdir()):
            raise ConfigError(f"{folder}: holds other things than evidence; name another folder.")
        return {}
    listed = read_sums(folder)
    named = {
        Run.parse("/".join(name.split("/")[1:5])) for name in listed if name.startswith(f"{RUNS}/")
    }
    stored = configuration.load([folder / CONFIGURATION]) if CONFIGURATION in listed else config
    if stored["profile"] != config["profile"]:
        raise ConfigError(
            f"{folder}: has evidence of the profile {stored['profile']}, not of {config['profile']}; name "
            "another folder."
        )
    for run in sorted(named - set(runs(config))):
        raise ConfigError(
            f"{folder}: has evidence of {run.path}, which this configuration does not ask for; add it to "
            "experiments, or name another folder."
        )
    _, sums = open_evidence(folder, place, of_runs(config, named))
    for run in sorted(named):
        try:
            with chdir(place):
                check_evaluated(config, run)
        except StoreError as error:
            raise ConfigError(
                f"{folder}: its evidence is of other settings than this configuration's; name another "
                f"folder ({str(error).split('; run:')[0]})."
            ) from error
    return sums


def unfinished(config: Config, run: Run) -> str:
    """Return why a run cannot be collected; nothing if it can.

    Its files must be there, and those that the configuration asks for.
    """
    folder = Path(Layout(config["profile"]).run(run))
    for name in _files_of(config, run):
        if not (folder / name).is_file():
            return f"{name} is missing"
    try:
        check_evaluated(config, run)
        check_prior(config, run, folder)
    except RungsError as error:
        return str(error)
    return ""


def _files_of(config: Config, run: Run) -> tuple[str, ...]:
    learnt = code_prior_settings(config, run) is not None
    return (*RUN_FILES, *(PRIOR_FILES if learnt else ()))


def _add(config: Config, run: Run, place: Path, use: Use) -> str:
    """Add a run to opened evidence; why it cannot be added, if it continues another training of a run than
    the one that is there."""
    target = place / Layout(config["profile"]).run(run)
    _write_slim(config, run, target, use)
    try:
        with chdir(place):
            check_evaluated(config, run)
    except StoreError as error:
        shutil.rmtree(target)
        return str(error)
    return ""


def _write_slim(config: Config, run: Run, target: Path, use: Use) -> None:
    """Write what evidence keeps of a run."""
    source = Path(Layout(config["profile"]).run(run))
    for name in _files_of(config, run):
        if Path(name).suffix != ".h5":
            write_bytes(target / name, (source / name).read_bytes())
            continue
        found = result_file.read(source / name)
        slim = slim_evaluation if name == EVALUATION else slim_history
        result_file.write(target / name, slim(found, use), found.attributes, small=True)


def of_runs(config: Config, present: Iterable[Run]) -> Config:
    """Return a configuration without ``raw_data`` that asks for some of its runs, in the same order."""
    kept = set(present)
    experiments = {}
    for document in config["experiments"]:
        found = [run for run in runs(config, document) if run in kept]
        experiments[document] = [
            {
                "datasets": [dataset],
                "variants": [variant],
                SIZES[axis]: [size],
                "seeds": [run.seed for run in seeds],
            }
            for (dataset, variant, axis, size), seeds in groupby(
                found, lambda run: (run.dataset, run.variant, run.axis, run.size)
            )
        ]
    return {**config, "raw_data": None, "experiments": experiments}


def make_tables(config: Config) -> dict[str, str]:
    """Make the tables of :data:`KEPT_TABLES` from the runs below the working folder: name -> CSV."""
    made = {}
    for name in KEPT_TABLES:
        files = inputs(config, TABLES[name].needs)
        table = import_module(TABLES[name].module).make(
            {kind: list(map(Path, paths)) for kind, paths in files.items()}
        )
        made[name] = to_csv(table)
    return made


def _bring_home(root: Path, folder: Path, before: Mapping[str, str]) -> None:
    """Copy new and changed files from ``results/<profile>`` elsewhere into the folder, the sums last."""
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    sums = {name: sha256(path.read_bytes()) for name, path in sorted(files.items())}
    of_runs_alone = {name: digest for name, digest in sums.items() if name not in MADE}
    for name in of_runs_alone:
        if sums[name] != before.get(name):
            write_bytes(folder / name, files[name].read_bytes())
    changed = [name for name in MADE if sums[name] != before.get(name)]
    if changed:
        _write_sums(folder, of_runs_alone)
    for name in changed:
        write_bytes(folder / name, files[name].read_bytes())
    if before != sums:
        _write_sums(folder, sums)


def _write_sums(folder: Path, sums: Sums) -> None:
    text = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    write_bytes(folder / SUMS, text.encode())


# --- reading, without trust ---------------------------------------------------------------------


def refused(path: Path, reason: str) -> ArchiveError:
    """Return the error of evidence that is not what ``rungs evidence collect`` writes."""
    return ArchiveError(
        f"{path}: is damaged or not written by rungs ({reason}). Get it again, or collect it again."
    )


def read_sums(folder: Path) -> Sums:
    """Read the list of a folder, and check every file in it against its name, kind, size and sum.

    Raises:
        ArchiveError: naming the file.
    """
    path = folder / SUMS
    if not folder.is_dir():
        raise ArchiveError(f"{folder}: the folder of evidence is missing.")
    if not path.is_file():
        raise ArchiveError(f"{folder}: has no {SUMS}, so it is no evidence of rungs.")
    if path.stat().st_size > MOST_JSON:
        raise refused(path, "it is too long")
    found: Sums = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})  (\S+)", line)
        if match is None or match[2] in found or not _is_member(match[2]):
            raise refused(path, f"unexpected line {line[:100]!r}")
        found[match[2]] = match[1]
    left = MOST_BYTES
    for name in found:
        member = folder / name
        if not member.is_file() or member.resolve() != folder.resolve() / name:
            raise refused(member, "the file is missing, or no plain file")
        left -= member.stat().st_size
        if left < 0:
            raise refused(folder, f"it has more than {MOST_BYTES:,} bytes")
        if Path(name).suffix != ".h5" and member.stat().st_size > MOST_JSON:
            raise refused(member, f"it has more than {MOST_JSON:,} bytes")
        if sha256(member.read_bytes()) != found[name]:
            raise refused(member, f"it differs from its checksum in {SUMS}")
    return found


def _is_member(name: str) -> bool:
    """Return whether a file of this name may be in evidence."""
    if name in (*MADE, CALIBRATION):
        return True
    top, *rest = name.split("/")
    run, file = "/".join(rest[:4]), "/".join(rest[4:])
    if top != RUNS or file not in (*RUN_FILES, *PRIOR_FILES):
        return False
    try:
        return Run.parse(run).path == run
    except ConfigError:
        return False


def open_evidence(
    folder: Path, into: Path = Path(), config: Config | None = None
) -> tuple[Config, Sums]:
    """Check a folder of evidence, and put its files into ``results/<profile>/``.

    Args:
        into: the folder of ``results``; the working folder by default.
        config: asks for its runs; by default its own configuration, which is missing where a collection was
            interrupted.

    Returns:
        Its configuration, and the sums of its files.

    Raises:
        ArchiveError: if the evidence is damaged or not to be trusted.
        ConfigError: if its configuration is not valid.
        StoreError: if a file is there already that differs; then nothing is written.
    """
    folder = Path(folder)
    sums = read_sums(folder)
    if config is None:
        if lacking := [name for name in MADE if name not in sums]:
            raise refused(folder, f"{SUMS} has no {lacking[0]}")
        config = configuration.load([folder / CONFIGURATION])
    _check_files(folder, sums, config)
    root = into / Layout(config["profile"]).root
    wanted = {name: root / name for name in sums if name != CONFIGURATION}
    for name, target in wanted.items():
        if target.exists() and not (target.is_file() and sha256(target.read_bytes()) == sums[name]):
            raise StoreError(
                f"{target}: is there already and differs from {folder / name}; move it away, or open the "
                "evidence in another folder."
            )
    for name, target in wanted.items():
        if not target.exists():
            write_bytes(target, (folder / name).read_bytes())
    return config, sums


def _check_files(folder: Path, sums: Sums, config: Config) -> None:
    """Check that the files of every run are there and of it, and that no file harms who reads it."""
    asked = runs(config)
    expected = {f"{RUNS}/{run.path}/{name}" for run in asked for name in _files_of(config, run)}
    for name in sorted(expected ^ (sums.keys() - {CALIBRATION, *MADE})):
        raise refused(folder / name, f"{SUMS} and {CONFIGURATION} do not agree on it")
    stored = [folder / name for name in sums if Path(name).suffix == ".h5"]
    for first in range(0, len(stored), LOOKED_AT):
        if reason := hdf5.crashes(*stored[first : first + LOOKED_AT]):
            raise refused(folder, reason)
    for path in stored:
        with _refusing(path):
            result_file.check_arrays(path)
    for run in asked:
        for name in _files_of(config, run):
            path = folder / RUNS / run.path / name
            of = f"{run.path}/{PRIOR_FOLDER}" if name in PRIOR_FILES else run.path
            with _refusing(path):
                if path.suffix == ".json":
                    read_seconds(path)
                elif _run_of(path) != of:
                    raise refused(path, f"it is not of the run {of}")


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Refuse a file that the block finds damaged: it is not made again by running a profile."""
    try:
        yield
    except ArchiveError:
        raise
    except StoreError as error:
        found = re.search(r"\((.*)\)", str(error))
        raise refused(path, found[1] if found else "it lacks something") from error


def _run_of(path: Path) -> object:
    """Return the path of the run that a results file says it is of."""
    settings = result_file.read(path, only=()).attributes["run"]
    return settings.get("run") if isinstance(settings, dict) else None


@contextmanager
def opened(folder: Path) -> Iterator[Config]:
    """Open evidence in a temporary folder, which is the working folder of the block."""
    with tempfile.TemporaryDirectory() as temporary:
        config, _ = open_evidence(folder.absolute(), Path(temporary))
        with chdir(temporary):
            yield config


def check(folder: Path) -> int:
    """Make the tables of a folder of evidence again, and compare them with those in it.

    Returns:
        The number of runs.

    Raises:
        ArchiveError: if the evidence is damaged.
        StoreError: if a run is of other settings than the configuration's, or a table differs, with the
            first line in which it does.
    """
    with opened(folder) as config:
        for run in runs(config):
            check_evaluated(config, run)
        for name, text in make_tables(config).items():
            stored = Path(Layout(config["profile"]).table(name, ".csv")).read_bytes()
            if stored != text.encode():
                line, old, new = _first_difference(stored.decode(errors="replace"), text)
                raise StoreError(
                    f"{folder / 'tables' / name}.csv: line {line} is stored as {old[:200]!r} and is now "
                    f"{new[:200]!r}"
                )
        return len(runs(config))


def _first_difference(old: str, new: str) -> tuple[int, str, str]:
    """Return the number of the first line that differs, and what differs of it, a few words before."""
    lines = [text.split("\n") for text in (old, new)]
    count = max(map(len, lines))
    for each in lines:
        each += [""] * (count - len(each))
    number = next(i for i in range(count) if lines[0][i] != lines[1][i])
    first, second = lines[0][number], lines[1][number]
    same = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)
    start = max(0, same - 40)
    return number + 1, first[start:], second[start:]
