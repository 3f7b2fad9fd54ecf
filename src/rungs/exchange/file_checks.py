"""Checks of single files of a profile's results. Each raises a StoreError that says what is wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from rungs.errors import StoreError
from rungs.storage import result_file
from rungs.storage.result_file import Stored
from rungs.study.layers import Config
from rungs.study.runs import PRIOR_FOLDER
from rungs.study.settings import RunSettings


def read_with_settings(path: Path, settings: RunSettings) -> Stored:
    """Return a results file of the run with these settings."""
    found = result_file.read(path)
    if found.attributes["run"] != settings:
        raise StoreError(f"{path}: its settings are not those that the configuration resolves to")
    return found


def check_origin(found: Stored) -> None:
    """Check that a results file names commit, versions, machine and seed."""
    origin = found.attributes["provenance"]
    lacking = [key for key in ("commit", "packages", "machine", "python") if not origin.get(key)]
    if not isinstance(found.attributes.get("run", found.attributes).get("seed"), int):
        lacking.append("seed")
    if lacking:
        raise StoreError(f"{found.path}: does not say its {', '.join(lacking)}")


def check_key(path: Path, found: Stored, expected: str) -> None:
    """Check that a results file has the key of the settings, code and data at hand."""
    if found.attributes.get("key") != expected:
        raise StoreError(f"{path}: is of other settings, code or data than these (its key differs)")


def check_calibration(config: Config, path: Path) -> None:
    """Check that the calibration was made with the configuration's settings."""
    found = result_file.read(path)
    check_origin(found)
    if found.attributes["calibration"] != config["calibration"]:
        raise StoreError(f"{path}: was made with other settings than the configuration's")


def check_weights(path: Path, settings: RunSettings) -> None:
    """Check that weights are finite, and those of the run with these settings."""
    from rungs.storage.tensors import load_tensors

    tensors, metadata = load_tensors(path)
    if json.loads(metadata["run"]) != settings:
        raise StoreError(f"{path}: its settings are not those that the configuration resolves to")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise StoreError(f"{path}: {name} is not finite")


def check_data(path: Path) -> None:
    """Check that a prepared data set says where its images come from."""
    if not result_file.read(path).attributes["provenance"]:
        raise StoreError(f"{path}: does not say where its images come from")


def check_text(path: Path) -> None:
    """Check that a text is not empty."""
    if not path.read_text(encoding="utf-8").strip():
        raise StoreError(f"{path}: is empty")


def check_png(path: Path) -> None:
    """Check that a picture can be read."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.verify()


def check_pdf(path: Path) -> None:
    """Check that a PDF file is whole."""
    content = path.read_bytes()
    if not (content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")):
        raise StoreError(f"{path}: is not a whole PDF file")


def check_table(path: Path, names: set[str]) -> None:
    """Check that every row has every column, and names runs of the profile alone.

    Args:
        names: the paths of the profile's runs.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        for number, row in enumerate(rows, 1):
            if None in row or None in row.values():
                raise StoreError(f"{path}: row {number} has not as many cells as columns")
            for name in _runs_of(row):
                if name.removesuffix(f"/{PRIOR_FOLDER}") not in names:
                    raise StoreError(f"{path}: row {number} is about {name}, no run of the profile")


def _runs_of(row: Mapping[str, str]) -> Iterator[str]:
    for column in ("run", "runs"):
        yield from (row.get(column) or "").split()
