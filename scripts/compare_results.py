"""Compare the results of two trainings of one profile, file by file.

Usage: ``python scripts/compare_results.py OLD/results/smoke NEW/results/smoke``

Every array, weight, attribute and table must be equal; only what names the code (keys, provenance)
or measures the machine (the table ``compute``, files of costs) may differ. Prints each difference and
exits with status 1 if there is any.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from safetensors.numpy import load_file

#: attributes that name the code or the machine
ORIGIN = {"key", "provenance", "prior", "format"}
#: tables that measure the machine
MEASURED = {"compute"}


def arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a results file."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def attributes(path: Path) -> Any:
    """The attributes of a results file without those of :data:`ORIGIN`."""

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: stripped(inner) for key, inner in value.items() if key not in ORIGIN}
        return value

    with h5py.File(path, "r") as file:
        return stripped(json.loads(file.attrs["attributes"]))


def differing(old: dict[str, np.ndarray], new: dict[str, np.ndarray]) -> Iterator[str]:
    """Names of arrays that are not equal bit by bit, or that one side lacks."""
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            yield f"{name} is only in {'OLD' if name in old else 'NEW'}"
        elif not np.array_equal(old[name], new[name], equal_nan=old[name].dtype.kind == "f"):
            yield f"{name} differs"


def differences(old: Path, new: Path) -> Iterator[str]:
    """One line for each difference between two profiles' folders."""
    names = {
        path.relative_to(root).as_posix()
        for root in (old, new)
        for pattern in ("runs/**/*.h5", "runs/**/*.safetensors", "*.h5", "tables/*.csv")
        for path in root.glob(pattern)
    }
    for name in sorted(names):
        one, other = old / name, new / name
        if not one.is_file() or not other.is_file():
            yield f"{name}: is only in {'OLD' if one.is_file() else 'NEW'}"
        elif name.endswith(".safetensors"):
            yield from (f"{name}: {text}" for text in differing(load_file(one), load_file(other)))
        elif name.endswith(".h5"):
            yield from (f"{name}: {text}" for text in differing(arrays(one), arrays(other)))
            if attributes(one) != attributes(other):
                yield f"{name}: its attributes differ"
        elif one.stem not in MEASURED:
            rows = [
                list(csv.reader(path.open(encoding="utf-8", newline=""))) for path in (one, other)
            ]
            if rows[0] != rows[1]:
                yield f"{name}: its rows differ"
    print(f"{len(names)} files compared")


def main() -> None:
    """Compare the two folders that the command line names."""
    found = list(differences(Path(sys.argv[1]), Path(sys.argv[2])))
    print("\n".join(found) or "no difference")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
