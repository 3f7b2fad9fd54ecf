"""A small profile whose results are made up, for the report: two runs, a drawn and a blank figure, a
claim with numbers that are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from conftest import TINY
from rungs.figures import FIGURES, figure_settings, style
from rungs.report import explorer
from rungs.storage import result_file
from rungs.storage.atomic import write_text
from rungs.study import profile
from rungs.study.layout import EVALUATION, HISTORY, Layout
from rungs.study.runs import runs
from rungs.study.settings import resolve
from rungs.tables import TABLES, save
from rungs.tables.claims import COLUMNS

ORIGIN = {"commit": "abc<1>", "machine": "one & two", "packages": {"torch": "2.13.0"}}
#: what the figures that are not blank show
DRAWN = ("ladder_loglik", "ladder_pca", "ladder_samples", "vae_manifold")
CLAIM = {
    "claim": "ladder.7",
    "document": "ladder",
    "dataset": "mnist5k",
    "statement": "A <b>claim</b>",
    "seeds": 3,
    "verdict": "reproduced",
    "basis": "3 seeds",
    "runs": "mnist5k/vae/depth5/seed0",
}
PARTS = [
    {
        "part": "gain",
        "relation": ">",
        "margin": 0.2,
        "measured": 2.4171,
        "low": 2.209,
        "high": 2.631,
    },
    {"part": "open", "relation": "<", "margin": 1.0, "measured": 0.5, "low": 0.1, "high": np.inf},
    {"part": "none", "relation": "within", "margin": 0.1},
]
OTHER = {**CLAIM, "claim": "ladder.2", "verdict": "undecided", "leaning": "for", "seeds": 1}
LACKING = {**CLAIM, "claim": "vq.1", "verdict": "undecided", "basis": "the profile lacks runs: vq"}


def store(config: dict[str, Any]) -> None:
    """Write files of every run, which hold nothing that was measured."""
    layout = Layout(config["profile"])
    for run in runs(config):
        settings = resolve(config, run)
        settings["training"] |= {"continuation": 0}
        origin = {"run": settings, "provenance": ORIGIN}
        place = Path(layout.run(run))
        place.mkdir(parents=True)
        result_file.write(place / HISTORY, {"elbo": np.zeros(2)}, origin)
        result_file.write(place / EVALUATION, {}, origin)


def make(folder: Path) -> dict[str, Any]:
    """Make the profile's results in the working directory; return its configuration.

    Args:
        folder: for its profile.
    """
    (folder / "tiny.yaml").write_text(TINY)
    config = profile.load([folder / "tiny.yaml"])
    layout = Layout(config["profile"])
    found = runs(config)
    store(config)
    for name in FIGURES:
        settings = figure_settings(config, name)
        figure = style.nothing_to_show(settings) if name not in DRAWN else plt.figure()
        Path(layout.figure(name, "")).parent.mkdir(exist_ok=True)
        style.save(figure, Path(layout.figure(name, "")))
    tables = {name: pd.DataFrame(columns=["run"]) for name in TABLES}
    tables["loglik"] = pd.DataFrame(
        {
            "run": [run.path for run in found],
            "seed": 0,
            "parameters": [100, 9],
            "test_elbo": [-104.1234, -110.0],
            "test_lk": [-103.42171, -99.9],
            "test_lk_se": [0.4312, 0.2],
            "published": np.nan,
            "converged": [True, False],
        }
    )
    tables["compute"] = pd.DataFrame(
        {"run": found[0].path, "rule": ["training"], "seconds": [7200.0], "threads": [2]}
        | {"peak_memory_mb": [1234.0]}
    )
    parts = [CLAIM | {"statement": f"of {part['part']}", "unit": "nats"} | part for part in PARTS]
    rows = [CLAIM, *parts, OTHER, LACKING]
    tables["claims"] = pd.DataFrame(
        [{"part": "", "leaning": ""} | row for row in rows], columns=COLUMNS
    )
    write_text(layout.explorer, json.dumps({name: [] for name in explorer.EXPLORED}))
    for name, table in tables.items():
        Path(layout.table(name, "")).parent.mkdir(exist_ok=True)
        save(table, Path(layout.table(name, "")))
    return config
