"""``compute``: what each run cost."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from rungs.errors import StoreError
from rungs.storage.cost_file import read_cost
from rungs.study.layout import Files
from rungs.study.runs import PRIOR_FOLDER

COLUMNS = ["seconds", "peak_memory_mb", "images_per_second", "device", "threads"]


def make(files: Files) -> pd.DataFrame:
    """One row a run and rule. Seconds are those of the work, over all attempts of a resumed
    run, without the start of the process; memory is the largest resident set of the last."""
    rows = []
    for path in map(Path, files["cost"]):
        cost = read_cost(path)
        try:
            row = {name: cost[name] for name in COLUMNS}
        except KeyError as error:
            raise StoreError(f"{path}: has no {error}; delete it and run again.") from error
        folder, rule = path.parent, path.stem.removesuffix("-cost")
        if folder.name == PRIOR_FOLDER:  # of a run's codes, in a folder of the run's
            folder, rule = folder.parent, "prior"
        rows.append({"run": "/".join(folder.parts[-4:]), "rule": rule, **row})
    return pd.DataFrame(rows, columns=["run", "rule", *COLUMNS])
