"""Parameters of rules: a change to one makes the results stale, and nothing else does.

What a job reads besides its inputs is handed to Snakemake as a parameter: settings with their keys in
one order, and hashes of files that cannot be inputs. The code has hashes of its own
(:mod:`rungs.study.keys`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rungs.paths import ROOT
from rungs.storage.atomic import sha256


def ordered(value: Any) -> Any:
    """The same settings with sorted keys, in all their sections.

    To Snakemake another order is another parameter, and the order depends on how many files a
    configuration was layered from.

    >>> list(ordered({"b": 1, "a": [{"d": 2, "c": 3}]}))
    ['a', 'b']
    """
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    return [ordered(item) for item in value] if isinstance(value, list) else value


def settings_hash(value: Any) -> str:
    """A hash of settings that are too long to be shown as a parameter."""
    return sha256(json.dumps(value, sort_keys=True).encode())[:16]


def file_hashes(folder: str, names: Iterable[str]) -> list[str]:
    """Hashes of files of the clone.

    As inputs these files would have to be in the store of a workflow that has one.

    Args:
        folder: relative to the clone, for example ``resources``.
        names: files in it.
    """
    return [sha256((ROOT / folder / name).read_bytes())[:16] for name in names]
