"""The format of archives: one trained run in a small zip file of a fixed set of members.

==================================  ===============================================================
member                              content
==================================  ===============================================================
``manifest.json``                   format, run, size and SHA-256 of every other member
``README.md``                       the run in words and numbers
``run.json``                        its settings, its numbers, keys and origin
``configuration.json``              the complete configuration that it was trained with
``weights.safetensors``             the weights, float32, or matrices in float16 on request
``training.h5, evaluation.h5``      as in the run's folder, without large arrays
``training-cost.json`` ...          the cost of its training and evaluation
``prior/...``                       the prior that was learnt over its codes, if it has one
``figures/...png``                  samples and reconstructions
==================================  ===============================================================

The same run gives the same bytes on the same machine: members have a fixed order and date.
:mod:`rungs.exchange.export` writes archives, :mod:`rungs.exchange.archive` unpacks them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rungs.errors import ArchiveError
from rungs.study.layout import EVALUATION, EVALUATION_COST, HISTORY, TRAINING_COST, WEIGHTS
from rungs.study.runs import PRIOR_FOLDER

FORMAT, VERSION = "rungs-archive", 1
MANIFEST = "manifest.json"
REQUIRED = (
    *("README.md", "run.json", "configuration.json"),
    *(WEIGHTS, HISTORY, EVALUATION),
)
PRIOR_FILES = (f"{PRIOR_FOLDER}/{WEIGHTS}", f"{PRIOR_FOLDER}/{HISTORY}")
PICTURES = {
    "figures/samples.png": "pictures/samples",
    "figures/reconstructions.png": "pictures/reconstructions",
}
COSTS = (TRAINING_COST, EVALUATION_COST, f"{PRIOR_FOLDER}/{TRAINING_COST}")
MEMBERS = (MANIFEST, *REQUIRED, *PRIOR_FILES, *PICTURES, *COSTS)
#: the attribute of a results file that is not complete: names of the arrays that were left out
LEFT_OUT = "left_out"
#: what an archive may hold unpacked, and its JSON files
MOST_BYTES, MOST_JSON = 2**30, 2**22


def refused(path: Path, reason: str) -> ArchiveError:
    """Return the error of an archive, or a file of one, that is not what rungs writes."""
    return ArchiveError(
        f"{path}: is damaged or not written by rungs ({reason}). Get it again, or export it again."
    )


def parse(path: Path, name: str, content: bytes) -> dict[str, Any]:
    """Read a JSON object of an archive.

    Raises:
        ArchiveError: if it is none.
    """
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise refused(path, f"{name} is not JSON") from error
    if not isinstance(parsed, dict):
        raise refused(path, f"{name} is not a JSON object")
    return parsed
