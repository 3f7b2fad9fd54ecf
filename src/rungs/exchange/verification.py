"""Whether results are what they say: a run's numbers, computed again, and a profile's files.

A run's random numbers come from seeds that its files name, so its evaluation can be repeated draw by
draw for some of its images. What may differ is rounding: another processor or another number of
threads adds in another order. :data:`TOLERANCE` is what an image's numbers may differ by.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rungs.errors import ConfigError, RungsError, StoreError
from rungs.exchange.ro_crate import machines_of, origins, version_of
from rungs.figures import FIGURES
from rungs.models import entry
from rungs.numerics.seeds import LIKELIHOOD_BLOCK
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.storage.atomic import sha256
from rungs.storage.cost_file import read_seconds
from rungs.storage.result_file import Stored
from rungs.study import profile as configuration
from rungs.study.code_prior_settings import FOLDER as PRIOR
from rungs.study.code_prior_settings import prior_spec
from rungs.study.layers import Config
from rungs.study.layout import STAGES, Layout
from rungs.study.runs import Run, all_runs, parent_of, runs
from rungs.study.settings import resolve
from rungs.study.validation import check_section
from rungs.tables import TABLES

if TYPE_CHECKING:
    from torch import Tensor

    from rungs.evaluation.evaluator import Evaluator

#: nats (bounds), squared intensity (errors of reconstruction), grey levels (pictures): of one image
TOLERANCE = {"nats": 0.01, "squared intensity": 0.01, "grey levels": 1.0}
#: so many times more where the weights were rounded to float16 after the evaluation: of one image,
#: and of the mean over images
HALF_FACTOR, HALF_MEAN_FACTOR = 50, 5


@dataclass(frozen=True)
class Comparison:
    """A stored number an image and the same computed again.

    Attributes:
        stored, recomputed: means over the images.
        difference: the largest of an image, absolute.
        tolerance: what it may be; ``mean_tolerance`` of the means.
    """

    quantity: str
    unit: str
    images: int
    stored: float
    recomputed: float
    difference: float
    tolerance: float
    mean_tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether both differences are within their tolerances."""
        mean = abs(self.stored - self.recomputed)
        return bool(self.difference <= self.tolerance and mean <= self.mean_tolerance)


def verify_run(folder: Path, data: Path, images: int = LIKELIHOOD_BLOCK) -> list[Comparison]:
    """Compute a sample of a run's numbers again.

    Args:
        folder: of a trained and evaluated run, or of an unpacked archive.
        data: the prepared data set that it was evaluated on.
        images: of the first so many test images, rounded up to whole blocks of random numbers.

    Raises:
        StoreError: if files are missing or damaged, or the data are not those of the evaluation.
    """
    try:
        return _compared(folder, data, images)
    except RungsError:
        raise
    except Exception as error:  # settings, arrays and weights of someone else's
        raise StoreError(
            f"{folder}: its settings and numbers do not fit together ({error}); get it again, or train "
            "and evaluate the run again."
        ) from error


def _compared(folder: Path, data: Path, images: int) -> list[Comparison]:
    evaluation = result_file.read(folder / "evaluation.h5")
    settings = evaluation.attributes["evaluation"]
    # the configuration's, besides the key of the prior of its codes
    check_section("evaluation", {k: v for k, v in settings.items() if k != "prior"})
    evaluator, x = _reopened(folder, data, evaluation, images)
    exact = not _is_half(folder)
    units = entry(evaluator.spec["model"]).verified
    found = []
    for name, again in evaluator.recomputed(x, settings).items():
        stored = evaluation[name][: len(again)]
        if stored.shape != again.shape:
            raise StoreError(f"{evaluation.path}: {name} has the shape {evaluation[name].shape}")
        found.append(_compare(name, units[name], stored, again, exact))
    return found


def _reopened(
    folder: Path, data: Path, evaluation: Stored, images: int
) -> tuple[Evaluator, Tensor]:
    """The evaluator of a run, and at least ``images`` of its test images in whole blocks."""
    from rungs.evaluation.pictures import as_bytes
    from rungs.evaluation.run import load_evaluator
    from rungs.evaluation.splits import Split

    settings = evaluation.attributes["evaluation"]
    evaluator = load_evaluator(folder, with_prior="prior" in settings)
    prepare_process(evaluator.spec["threads"])
    x = Split.read(data, "test", settings["images"], evaluator.model.binary).x
    originals = evaluation["pictures/originals"]
    found = as_bytes(x[: len(originals)])
    if found.shape != originals.shape or not np.array_equal(found, originals):
        raise StoreError(
            f"{data}: its test images are not those that {evaluation.path} was measured on; "
            "prepare the data set again, or name the right file (--data)."
        )
    return evaluator, x[: -(-images // LIKELIHOOD_BLOCK) * LIKELIHOOD_BLOCK]


def _is_half(folder: Path) -> bool:
    import torch

    from rungs.storage.tensors import load_tensors

    tensors, _ = load_tensors(folder / "weights.safetensors")
    return any(tensor.dtype == torch.float16 for tensor in tensors.values())


def _compare(
    name: str, unit: str, stored: np.ndarray, found: np.ndarray, exact: bool
) -> Comparison:
    before, after = stored.astype(float), found.astype(float)
    tolerance = TOLERANCE[unit]
    return Comparison(
        quantity=name,
        unit=unit,
        images=len(found),
        stored=float(before.mean()),
        recomputed=float(after.mean()),
        difference=float(np.abs(before - after).max()),
        tolerance=tolerance if exact else HALF_FACTOR * tolerance,
        mean_tolerance=tolerance if exact else HALF_MEAN_FACTOR * tolerance,
    )


def rounding_change(
    folder: Path, data: Path, tensors: Mapping[str, Tensor], evaluation: Stored
) -> dict[str, Any]:
    """Compute what other weights change in a run's numbers, with the same random numbers.

    Returns:
        ``quantity, images, mean_change, largest_change`` (absolute) of up to 100 test images.
    """
    evaluator, x = _reopened(folder, data, evaluation, 2 * LIKELIHOOD_BLOCK)
    settings = evaluation.attributes["evaluation"]
    before = evaluator.recomputed(x, settings)
    evaluator.model.load_state_dict(tensors)
    after = evaluator.recomputed(x, settings)
    name = next(iter(before))
    change = after[name].astype(float) - before[name].astype(float)
    return {
        "quantity": name,
        "images": len(change),
        "mean_change": float(abs(change.mean())),
        "largest_change": float(np.abs(change).max()),
    }


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a profile's results: the file, and what."""

    path: str
    reason: str


def configuration_of(root: Path, run: Run | None = None) -> Config:
    """The configuration that a profile's results were made with: the one that its crate names, else
    the newest of the frozen ones; every start of the workflow leaves one, dry runs as well.

    Args:
        root: ``results/<profile>``.
        run: take one by which this run was trained, if there is such.

    Raises:
        StoreError: if there is none.
    """
    found = sorted((root / "config").glob("*.json"), key=lambda path: -path.stat().st_mtime)
    if not found:
        raise StoreError(
            f"{root}: has no config/<hash>.json, so it is no profile's results; "
            "name results/<profile>, a run or an archive."
        )
    found.sort(key=lambda path: path.name not in _configurations_of_crate(root))
    if run is None:
        return configuration.load(found[:1])
    trained = result_file.read(root / "runs" / run.path / "training.h5", only=()).attributes["run"]
    for path in found:
        with suppress(ConfigError):  # of another version of rungs
            config = configuration.load([path])
            if resolve(config, run) == trained:
                return config
    return configuration.load(found[:1])


def _configurations_of_crate(root: Path) -> set[str]:
    try:
        graph = json.loads((root / "ro-crate-metadata.json").read_text(encoding="utf-8"))["@graph"]
        return {Path(e["@id"]).name for e in graph if e["@id"].startswith("config/")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def verify_results(config: Config) -> tuple[int, list[Problem]]:
    """Check a profile's results below the working folder.

    Every file that the profile asks for must be there, whole, and of the settings, code and data at
    hand; every result must say where it comes from; every table must be readable and speak of the
    profile's runs; the crate's checksums must agree.

    Returns:
        How many files were looked at, and what is wrong.
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


Check = Callable[[Path], None]


def _checks(config: Config) -> list[tuple[str, Check]]:
    """Every file of a profile, and how it is checked."""
    layout = Layout(config["profile"])
    found: list[tuple[str, Check]] = []
    names = {run.path for run in all_runs(config)}
    for dataset in sorted({run.dataset for run in all_runs(config)}):
        found.append((layout.data(dataset), _check_stored_data))
    asked = set(runs(config))
    for run in all_runs(config):
        found += _run_checks(config, run, run in asked)
    for name in FIGURES:
        found.append((layout.figure(name, ".png"), _check_png))
        found.append((layout.figure(name, ".pdf"), _check_pdf))
    for name in TABLES:
        found.append((layout.table(name, ".csv"), lambda path: _check_table(path, names)))
        found.append((layout.table(name, ".md"), _check_text))
    if any("calibration" in figure.needs for figure in FIGURES.values()):
        found.append((layout.calibration, lambda path: _check_calibration(config, path)))
    found.append((layout.summary, _check_text))
    found.append((layout.crate, lambda path: _check_crate(config, path)))
    return found


def _run_checks(config: Config, run: Run, evaluated: bool) -> list[tuple[str, Check]]:
    """A run's files; one that is there only to be continued is not evaluated."""
    layout = Layout(config["profile"])
    folder = Path(layout.run(run))
    spec = resolve(config, run)
    found: list[tuple[str, Check]] = [
        (f"{folder}/training.h5", lambda path: _check_training(config, run, path)),
        (f"{folder}/weights.safetensors", lambda path: _check_weights(path, spec)),
    ]
    found += [(f"{folder}/{name}", _check_cost) for name in STAGES["train"][2:]]
    if evaluated:
        found.append((f"{folder}/evaluation.h5", lambda path: _check_evaluation(config, run, path)))
        found += [(f"{folder}/{name}", _check_cost) for name in STAGES["evaluate"][1:]]
    if evaluated and (learnt := prior_spec(config, run)) is not None:

        def check_prior(path: Path) -> None:
            _check_origin(_of_settings(path, learnt))

        weights, history = layout.prior(config, run)
        found.append((history, check_prior))
        found.append((weights, lambda path: _check_weights(path, learnt)))
    return found


def _of_settings(path: Path, spec: Config) -> Stored:
    found = result_file.read(path)
    if found.attributes["run"] != spec:
        raise StoreError(f"{path}: its settings are not those that the configuration resolves to")
    return found


def _check_origin(found: Stored) -> None:
    """Commit, versions, machine and seed."""
    origin = found.attributes["provenance"]
    lacking = [key for key in ("commit", "packages", "machine", "python") if not origin.get(key)]
    if not isinstance(found.attributes.get("run", found.attributes).get("seed"), int):
        lacking.append("seed")
    if lacking:
        raise StoreError(f"{found.path}: does not say its {', '.join(lacking)}")


def _check_key(path: Path, found: Stored, expected: str) -> None:
    if found.attributes.get("key") != expected:
        raise StoreError(f"{path}: is of other settings, code or data than these (its key differs)")


def _check_training(config: Config, run: Run, path: Path) -> None:
    from rungs.study.keys import run_key

    layout, spec = Layout(config["profile"]), resolve(config, run)
    found = _of_settings(path, spec)
    _check_origin(found)
    parent = parent_of(config, run)
    start = None if parent is None else Path(layout.run(parent)) / "weights.safetensors"
    _check_key(path, found, run_key(spec, Path(layout.data(run.dataset)), start))


def _check_evaluation(config: Config, run: Run, path: Path) -> None:
    from rungs.evaluation.run import Inputs

    found = _of_settings(path, resolve(config, run))
    _check_origin(found)
    inputs = Inputs.of(config, run)
    if found.attributes["evaluation"] != inputs.settings:
        raise StoreError(f"{path}: was evaluated with other settings than the configuration's")
    _check_key(path, found, inputs.key())
    for name in ("test/lk", "test/elbo"):
        if name in found.arrays and not np.isfinite(found[name]).all():
            raise StoreError(f"{path}: {name} is not finite")


def _check_calibration(config: Config, path: Path) -> None:
    found = result_file.read(path)
    _check_origin(found)
    if found.attributes["calibration"] != config["calibration"]:
        raise StoreError(f"{path}: was made with other settings than the configuration's")


def _check_weights(path: Path, spec: Config) -> None:
    from rungs.storage.tensors import load_tensors

    tensors, metadata = load_tensors(path)
    if json.loads(metadata["run"]) != spec:
        raise StoreError(f"{path}: its settings are not those that the configuration resolves to")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise StoreError(f"{path}: {name} is not finite")


def _check_stored_data(path: Path) -> None:
    if not result_file.read(path).attributes["provenance"]:
        raise StoreError(f"{path}: does not say where its images come from")


def _check_cost(path: Path) -> None:
    read_seconds(path)


def _check_text(path: Path) -> None:
    if not path.read_text(encoding="utf-8").strip():
        raise StoreError(f"{path}: is empty")


def _check_png(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as picture:
        picture.verify()


def _check_pdf(path: Path) -> None:
    content = path.read_bytes()
    if not (content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")):
        raise StoreError(f"{path}: is not a whole PDF file")


def _check_table(path: Path, names: set[str]) -> None:
    """Every row has every column, and the runs that it names are the profile's."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        for number, row in enumerate(rows, 1):
            if None in row or None in row.values():
                raise StoreError(f"{path}: row {number} has not as many cells as columns")
            for name in _runs_of(row):
                if name.removesuffix(f"/{PRIOR}") not in names:
                    raise StoreError(f"{path}: row {number} is about {name}, no run of the profile")


def _runs_of(row: Mapping[str, str]) -> Iterator[str]:
    for column in ("run", "runs"):
        yield from (row.get(column) or "").split()


def _check_crate(config: Config, path: Path) -> None:
    """Files that the crate lists are there and have its checksums, and the commits and machines that
    it tells, for figures and tables too, are those of the runs."""
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
