"""The cost of a job before it does anything."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from rungs.bench import Row, Scale
from rungs.bench.timing import in_turns, spread

STATEMENTS = {
    "python": "pass",
    "a figure's imports": "import rungs.cli, rungs.figures.style",
    "a table's imports": "import rungs.cli, pandas, rungs.storage.result_file",
    "torch": "import torch",
    "a training job's imports": "import rungs.cli, rungs.jobs.packs, rungs.training.trainer",
}


def measure(scale: Scale) -> list[Row]:
    """Seconds of a process that only imports."""
    seconds = in_turns(
        {
            name: lambda code=code: subprocess.run([sys.executable, "-c", code], check=True)  # type: ignore[misc]
            for name, code in STATEMENTS.items()
        },
        scale.repetitions,
    )
    return [
        Row("start-up", name, float(np.median(found)), "s", spread=spread(found))
        for name, found in seconds.items()
    ]
