"""Checks of a data set: its prepared file, and the raw files that it is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rungs.data import DatasetEntry, catalogue, prepare
from rungs.data.prepared import Prepared
from rungs.errors import AbsentDataError, RungsError
from rungs.storage import result_file

NAMES = ("train/images", "train/labels", "test/images", "test/labels")


@dataclass
class Check:
    """The findings about one data set.

    Attributes:
        prepared: ``sound``, ``absent`` or ``wrong``.
        source: ``sound``, ``absent``, ``wrong``, or ``download`` where no raw-data folder is named.
        problems: what must be mended, and how.
        notes: what is good to know.
    """

    dataset: str
    prepared: str = "absent"
    source: str = "absent"
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check(name: str, path: Path, raw: Path | None, config: Mapping[str, Any]) -> Check:
    """Check the prepared file at ``path``, and prepare again in memory to check the raw files and that
    the two agree. Nothing is downloaded and nothing written.

    Args:
        name: a key of :func:`rungs.data.catalogue`.
        raw: the user's folder of raw data files.
        config: the configuration, for one's own data.
    """
    found, entry = Check(name), catalogue(config)[name]
    stored = _check_prepared(found, entry, path)
    made = _check_source(found, entry, raw, config)
    if stored is not None and made is not None and not _equal(stored, made):
        found.prepared = "wrong"
        found.problems.append(f"{path}: differs from what its source gives. {_again(name)}")
    if found.prepared == "absent" and not found.problems:
        found.notes.append(f"not prepared yet: rungs prepare {name}")
    return found


def _again(name: str) -> str:
    return f"Delete it and run: rungs prepare {name}"


def _check_prepared(found: Check, entry: DatasetEntry, path: Path) -> Prepared | None:
    """Checksums, types, shapes and ranges of the prepared file; None if it is not sound."""
    if not path.exists():
        return None
    found.prepared = "wrong"
    try:
        arrays = result_file.read(path).arrays
        missing = [name for name in NAMES if name not in arrays]
        if missing:
            found.problems.append(
                f"{path}: has no {' and no '.join(missing)}. {_again(found.dataset)}"
            )
            return None
        images, labels, test_images, test_labels = (arrays[name] for name in NAMES)
        prepared = Prepared(images, labels, test_images, test_labels, {})
        prepared.check(found.dataset, entry.shape, entry.train, entry.test)
    except RungsError as error:
        found.problems.append(str(error))
        return None
    named = [name for name in NAMES if entry.labelled or not name.endswith("labels")]
    wrong = [line for name in named for line in _out_of_range(name, arrays[name])]
    wrong += _strange_classes(prepared)
    found.problems += [f"{path}: {line}. {_again(found.dataset)}" for line in wrong]
    if wrong:
        return None
    found.prepared = "sound"
    classes = len(np.unique(prepared.train_labels)) if entry.labelled else "no"
    shape = "x".join(map(str, entry.shape))
    found.notes.append(f"{entry.train} + {entry.test} images of {shape}, {classes} classes")
    return prepared


def _out_of_range(name: str, array: np.ndarray) -> list[str]:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return [f"{name} has values that are not numbers"]
    if name.endswith("labels") and (array.dtype.kind not in "iu" or array.min() < 0):
        return [f"{name} are {array.dtype} from {array.min()}, expected integers from 0"]
    if name.endswith("images") and array.min() == array.max():
        return [f"{name} are all {array.min()}"]
    return []


def _strange_classes(prepared: Prepared) -> list[str]:
    strange = np.setdiff1d(prepared.test_labels, prepared.train_labels)
    return [f"test labels {strange.tolist()} are not in the training set"] if len(strange) else []


def _check_source(
    found: Check, entry: DatasetEntry, raw: Path | None, config: Mapping[str, Any]
) -> Prepared | None:
    """Prepare from the raw files, which checks their checksums; None if that cannot be done."""
    if entry.raw and raw is None:
        found.source = "download"
        found.notes.append(
            f"raw files are downloaded when it is prepared, or put {', '.join(entry.raw)} into a folder "
            "and name it by raw_data or RUNGS_RAW_DATA"
        )
        return None
    try:
        made = prepare(found.dataset, raw, Path("unused"), config)
    except RungsError as error:
        absent = isinstance(error, AbsentDataError)
        found.source = "absent" if absent else "wrong"
        if absent and found.prepared == "sound":
            found.notes.append(f"raw files are not in {raw}; not needed, it is prepared")
        else:
            found.problems.append(str(error))
        return None
    found.source = "sound"
    found.notes += made.provenance.get("notes", [])
    return made


def _equal(first: Prepared, second: Prepared) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("train_images", "train_labels", "test_images", "test_labels")
    )
