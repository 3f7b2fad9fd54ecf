"""Checks that the files of a profile's results are there, whole, and what they say they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from rungs.errors import RungsError, StoreError
from rungs.exchange import file_checks
from rungs.exchange.ro_crate import machines_of, origins, version_of
from rungs.figures import FIGURES
from rungs.storage.atomic import sha256
from rungs.storage.cost_file import read_seconds
from rungs.study.identity import check_prepared
from rungs.study.keys import run_key
from rungs.study.layers import Config
from rungs.study.layout import BEFORE, EVALUATION, HISTORY, STAGES, WEIGHTS, Layout
from rungs.study.runs import Run, all_runs, runs
from rungs.study.settings import code_prior_settings, resolve
from rungs.tables import TABLES

Check = Callable[[Path], object]


@dataclass(frozen=True)
class Problem:
    """Something wrong with a profile's results: the file, and the reason."""

    path: str
    reason: str


def verify_results(config: Config) -> tuple[int, list[Problem]]:
    """Check a profile's results below the working folder.

    Every file that the profile asks for must be there, whole, and of the settings, code and data at
    hand; every result must say where it comes from; every table must be readable and name runs of the
    profile; the crate's checksums must agree.

    Returns:
        The number of files checked, and the problems.
    """
    checks = _checks(config)
    problems = []
    for path, check in checks:
        try:
            if not Path(path).is_file():
                raise StoreError(f"{path}: is missing")
            check(Path(path))
        except (RungsError, OSError, KeyError, ValueError, TypeError) as error:
            reason = (
                f"{type(error).__name__} {error}" if isinstance(error, KeyError) else str(error)
            )
            problems.append(Problem(path, reason.removeprefix(f"{path}: ").splitlines()[0]))
    return len(checks), problems


def _checks(config: Config) -> list[tuple[str, Check]]:
    """Every file of a profile, and its check."""
    layout = Layout(config["profile"])
    found: list[tuple[str, Check]] = []
    names = {run.path for run in all_runs(config)}
    for dataset in sorted({run.dataset for run in all_runs(config)}):
        found.append((layout.data(dataset), partial(_check_data, config, dataset)))
    asked = set(runs(config))
    for run in all_runs(config):
        found += _run_checks(config, run, run in asked)
    for name in FIGURES:
        found.append((layout.figure(name, ".png"), file_checks.check_png))
        found.append((layout.figure(name, ".pdf"), file_checks.check_pdf))
    for name in TABLES:
        found.append((layout.table(name, ".csv"), partial(file_checks.check_table, names=names)))
        found.append((layout.table(name, ".md"), file_checks.check_text))
    if any("calibration" in figure.needs for figure in FIGURES.values()):
        found.append((layout.calibration, partial(file_checks.check_calibration, config)))
    found.append((layout.summary, file_checks.check_text))
    found.append((layout.crate, partial(_check_crate, config)))
    return found


def _run_checks(config: Config, run: Run, evaluated: bool) -> list[tuple[str, Check]]:
    """The files of a run and their checks; a run that is only to be continued is not evaluated."""
    layout = Layout(config["profile"])
    folder = Path(layout.run(run))
    settings = resolve(config, run)
    found: list[tuple[str, Check]] = [
        (f"{folder}/{HISTORY}", partial(_check_training, config, run)),
        (f"{folder}/{WEIGHTS}", partial(file_checks.check_weights, settings=settings)),
    ]
    found += [(f"{folder}/{name}", read_seconds) for name in STAGES["train"][2:]]
    if evaluated:
        found.append((f"{folder}/{EVALUATION}", partial(_check_evaluation, config, run)))
        found += [(f"{folder}/{name}", read_seconds) for name in STAGES["evaluate"][1:]]
    if evaluated and (learnt := code_prior_settings(config, run)) is not None:

        def check_prior(path: Path) -> None:
            file_checks.check_origin(file_checks.read_with_settings(path, learnt))

        weights, history = layout.prior(config, run)
        found.append((history, check_prior))
        found.append((weights, partial(file_checks.check_weights, settings=learnt)))
    return found


def _check_data(config: Config, dataset: str, path: Path) -> None:
    file_checks.check_data(path)
    check_prepared(config, dataset)


def _check_training(config: Config, run: Run, path: Path) -> None:
    layout, settings = Layout(config["profile"]), resolve(config, run)
    found = file_checks.read_with_settings(path, settings)
    file_checks.check_origin(found)
    weights, data = layout.start(config, run), Path(layout.data(run.dataset))
    start = None if weights is None else Path(weights)
    file_checks.check_key(path, found, run_key(settings, data, start))


def _check_evaluation(config: Config, run: Run, path: Path) -> None:
    from rungs.evaluation.run import Inputs

    found = file_checks.read_with_settings(path, resolve(config, run))
    file_checks.check_origin(found)
    inputs = Inputs.of(config, run)
    if found.attributes["evaluation"] != inputs.evaluation:
        raise StoreError(f"{path}: was evaluated with other settings than the configuration's")
    file_checks.check_key(path, found, inputs.key())
    bounds = ("test/lk", "test/elbo")
    for name in (*bounds, *(f"{BEFORE}{bound}" for bound in bounds)):
        if name in found.arrays and not np.isfinite(found[name]).all():
            raise StoreError(f"{path}: {name} is not finite")


def _check_crate(config: Config, path: Path) -> None:
    """Check that the files that the crate lists have its checksums, and that it names the commits and
    machines of the runs."""
    graph = json.loads(path.read_text(encoding="utf-8"))["@graph"]
    for item in graph:
        if "sha256" in item:
            file = path.parent / item["@id"]
            if not file.is_file():
                raise StoreError(f"{path}: lists {item['@id']}, which is missing")
            if sha256(file.read_bytes()) != item["sha256"]:
                raise StoreError(f"{path}: lists {item['@id']} with another checksum")
    made = origins(config)
    versions = {item.get("version") for item in graph}
    if version_of(made) not in versions:
        raise StoreError(f"{path}: the runs are of {version_of(made)}, which it does not say")
    if not any(
        item["@type"] == "CreateAction" and item["description"].endswith(f"on {machines_of(made)}")
        for item in graph
    ):
        raise StoreError(f"{path}: the runs are of {machines_of(made)}, which it does not say")
