"""The configuration with which a profile's stored results were made."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from rungs.errors import ConfigError, StoreError
from rungs.storage import result_file
from rungs.study import profile as configuration
from rungs.study.layers import Config
from rungs.study.layout import HISTORY
from rungs.study.runs import Run
from rungs.study.settings import resolve


def configuration_of(root: Path, run: Run | None = None) -> Config:
    """Return the configuration with which a profile's results were made.

    It is the one that the crate names, else the newest of the frozen ones; every start of the workflow
    leaves one, dry runs as well.

    Args:
        root: ``results/<profile>``.
        run: prefer a configuration with which this run was trained.

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
    trained = result_file.read(root / "runs" / run.path / HISTORY, only=()).attributes["run"]
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
