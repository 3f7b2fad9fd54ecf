"""Files of costs: what a stage of a run cost, as JSON beside its results, which hold no times."""

from __future__ import annotations

import json
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rungs.errors import StoreError
from rungs.storage.atomic import write_text


def write_cost(path: Path, seconds: float, images: int, settings: Mapping[str, Any]) -> None:
    """Write ``seconds``, ``images_per_second``, ``peak_memory_mb``, ``device`` and ``threads``.

    Args:
        seconds: of the work, without the start of the process.
        images: that were worked on in this time.
        settings: of the run, which has ``device`` and ``threads``.
    """
    cost = {
        "seconds": seconds,
        "images_per_second": images / max(seconds, 1e-9),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "device": settings["device"],
        "threads": settings["threads"],
    }
    write_text(path, json.dumps(cost, indent=1) + "\n")


def read_cost(path: Path) -> dict[str, Any]:
    """Read what :func:`write_cost` wrote.

    Raises:
        StoreError: if the file is missing, damaged or something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); delete it and run again.") from error
    if not isinstance(found, dict):
        raise StoreError(f"{path}: is no JSON object; delete it and run again.")
    return found


def read_seconds(path: Path) -> float:
    """Read the seconds of a file of costs.

    Raises:
        StoreError: if it has none.
    """
    seconds = read_cost(path).get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0:
        raise StoreError(f"{path}: does not give its seconds; delete it and run again.")
    return float(seconds)
