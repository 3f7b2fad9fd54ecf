"""The registry of tables. A further table is one module and one line here.

Each module has ``make(files) -> pandas.DataFrame``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungs.claims import DOCUMENTS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Entry:
    """A table: its module, what it is made from, what it shows."""

    module: str
    needs: tuple[str, ...]
    title: str
    #: modules that its own loads by name, through another registry
    rests_on: tuple[str, ...] = ()
    #: files of ``resources/`` that it reads
    resources: tuple[str, ...] = ()


TABLES = {
    "loglik": Entry(
        "rungs.tables.loglik",
        ("training", "evaluation"),
        "Bounds on the log-likelihood",
        resources=("published.csv",),
    ),
    "active_units": Entry(
        "rungs.tables.active_units",
        ("evaluation",),
        "Active units of each layer",
        resources=("published.csv",),
    ),
    "claims": Entry(
        "rungs.tables.claims",
        ("training", "evaluation"),
        "The documents' claims, decided by these runs",
        rests_on=tuple(DOCUMENTS.values()),
    ),
    "perplexity": Entry(
        "rungs.tables.perplexity",
        ("evaluation",),
        "Likelihood a dimension, samples and posteriors of single-layer models",
    ),
    "compute": Entry("rungs.tables.compute", ("cost",), "What each run cost"),
    "vq": Entry("rungs.tables.vq", ("training", "evaluation"), "VQ-VAE: codes, losses and bounds"),
    "moments": Entry(
        "rungs.tables.moments", ("evaluation",), "Moments of every latent's aggregate posterior"
    ),
    "linear_probe": Entry(
        "rungs.tables.linear_probe", ("evaluation",), "The encoder as a feature map"
    ),
    "autoencoder": Entry(
        "rungs.tables.autoencoder",
        ("training", "evaluation"),
        "Reconstruction by plain autoencoders, and samples by prior and by fitted density",
    ),
}


def save(table: pd.DataFrame, stem: Path) -> None:
    """Write ``stem.csv`` in full precision and ``stem.md`` rounded for reading."""
    from rungs.files import write_text

    write_text(stem.with_suffix(".csv"), table.to_csv(index=False, lineterminator="\n"))
    write_text(stem.with_suffix(".md"), to_markdown(table))


def to_markdown(table: pd.DataFrame) -> str:
    """A Markdown table; numbers have three decimals, missing values are empty."""
    from pandas import isna

    def cell(value: Any) -> str:
        if isna(value):
            return ""
        text = f"{value:.3f}" if isinstance(value, float) else str(value)
        return text.replace("|", "\\|")

    lines = [list(map(str, table.columns)), ["---"] * len(table.columns)]
    lines += [[cell(value) for value in row] for row in table.itertuples(index=False)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
