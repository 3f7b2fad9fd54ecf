"""Tables of stored results, as CSV and Markdown.

This module is their registry: a further table is one module with ``make(files) -> pandas.DataFrame``
and one line here. A module of a table with hundreds of rows also has ``summarise(table)``, which returns
the shorter one that a page shows. The room may import claims and the rooms below it; figures and every
room above may import it.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rungs.claims import DOCUMENTS
from rungs.errors import StoreError
from rungs.tables import numbers

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TableEntry:
    """A table: its module, what it is made from, what it shows."""

    module: str
    needs: tuple[str, ...]
    title: str
    #: for its caption in the report: what to look for; a change remakes the report only
    look_for: str = ""
    #: the document that it serves; all by default
    document: str | None = None
    #: modules that its own loads by name, through another registry
    rests_on: tuple[str, ...] = ()
    #: files of ``resources/`` that it reads
    resources: tuple[str, ...] = ()
    #: whether its module has ``summarise``
    summarised: bool = False

    def on_a_page(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the table as pages show it."""
        if not self.summarised:
            return table
        summary: pd.DataFrame = import_module(self.module).summarise(table)
        return summary


TABLES = {
    "loglik": TableEntry(
        "rungs.tables.loglik",
        ("training", "evaluation"),
        "Bounds on the log-likelihood",
        look_for=(
            "test_lk is the estimate of the log-likelihood, in nats an image, higher is better. Its standard "
            "error is over test images, which runs on one data set share: a difference between them is surer "
            "than their errors suggest. converged is empty for a run without continuation. Published values "
            "appear only where data and networks are the published ones; published_checked says how it was "
            "checked."
        ),
        resources=("published.csv",),
    ),
    "active_units": TableEntry(
        "rungs.tables.active_units",
        ("evaluation",),
        "Active units of each layer",
        look_for=(
            "Layer 1 is next to the image. In the plain VAE the layers above the second should have no or "
            "hardly any active units. Neither definition is the more lenient everywhere. active_variance "
            "also counts units whose mean moves with the image so little, or so much as the layer above "
            "predicts, that they add hardly any nats; active_kl also counts units whose posterior is off its "
            "prior, though it is the same for all images."
        ),
        resources=("published.csv",),
    ),
    "claims": TableEntry(
        "rungs.tables.claims",
        ("training", "evaluation"),
        "The documents' claims, decided by these runs",
        look_for=(
            "A claim has a row with its statement and verdict, and a row for each of its parts with what "
            "was measured. A part is reproduced if the whole interval lies where it holds, not reproduced "
            "if none of it does, else undecided; the claim has the verdict of its worst part. A leaning is "
            "no verdict."
        ),
        rests_on=tuple(DOCUMENTS.values()),
        resources=("published.csv",),
    ),
    "perplexity": TableEntry(
        "rungs.tables.perplexity",
        ("evaluation",),
        "Likelihood a dimension, quality of samples, and shape of posteriors",
        document="mixture",
        look_for=(
            "Compare only rows of one data set and one likelihood: bits of binary pixels are not bits of "
            "grey levels. frechet is the distance of samples to test images, lower is better. For mixture "
            "posteriors, whether any image has a posterior with several modes."
        ),
    ),
    "compute": TableEntry(
        "rungs.tables.compute",
        ("cost",),
        "What each run cost",
        look_for=(
            "Seconds of the work, over all attempts of a resumed run. Times of jobs that shared a machine "
            "are longer than those of jobs alone."
        ),
    ),
    "vq": TableEntry(
        "rungs.tables.vq",
        ("training", "evaluation"),
        "VQ-VAE: codes, losses and bounds",
        document="vq",
        look_for=(
            "bits_per_dim, lower is better, beside the continuous VAE's with the same networks; how many "
            "codes are in use; and swapped_nats, what the decoder loses with another image's latents: near "
            "zero it ignores them."
        ),
    ),
    "moments": TableEntry(
        "rungs.tables.moments",
        ("evaluation",),
        "Moments of every latent's aggregate posterior",
        document="moments",
        look_for=(
            "second_moment_sum, Var(mu) + E[sigma^2], should be 1 where the prior is N(0, I); kurtosis is 3 "
            "for a Gaussian and need not be here. Pages have a row a layer, the CSV file one a latent."
        ),
        summarised=True,
    ),
    "linear_probe": TableEntry(
        "rungs.tables.linear_probe",
        ("evaluation",),
        "The encoder as a feature map",
        document="vae",
        look_for=(
            "With few labels a probe on the code should beat one on the pixels, and a network that starts "
            "from the encoder one that starts at random; with many labels the advantage should shrink. "
            "labels_a_class is the number asked for: a class with fewer training images gives all that it "
            "has, and labels is how many there are together."
        ),
    ),
    "autoencoder": TableEntry(
        "rungs.tables.autoencoder",
        ("training", "evaluation"),
        "Reconstruction by plain autoencoders, and samples by prior and by fitted density",
        document="vae",
        look_for=(
            "A linear autoencoder should come near mse = pca_mse, never below it. A small rotated_mse is a "
            "sign of copying. fitted_distance below prior_distance means that the codes are not where the "
            "prior is."
        ),
    ),
}


def read_rows(path: Path | str) -> list[dict[str, str]]:
    """The rows of a stored table, as text; without pandas, for what shows a few of them.

    Raises:
        StoreError: if the file is truncated or no table.
    """
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    rows = list(csv.DictReader(io.StringIO(text, newline=""))) if text.endswith("\n") else None
    if rows is None or "\0" in text or any(None in (*row, *row.values()) for row in rows):
        raise StoreError(
            f"{path}: the table is damaged. Delete it and run the same command again: it will be made anew."
        )
    return rows


def save(table: pd.DataFrame, stem: Path, entry: TableEntry | None = None) -> None:
    """Write ``stem.csv``, and ``stem.md`` for reading: rounded, and summarised if long.

    Args:
        entry: of the table in the registry; none of a table that no profile has.
    """
    from rungs.storage.atomic import write_text

    write_text(stem.with_suffix(".csv"), to_csv(table))
    page = entry.on_a_page(table) if entry else table
    write_text(stem.with_suffix(".md"), to_markdown(page))


def to_csv(table: pd.DataFrame) -> str:
    """Return a table as its CSV file has it."""
    text: str = table.to_csv(index=False, lineterminator="\n", float_format=numbers.stored)
    return text


def to_markdown(table: pd.DataFrame) -> str:
    """Return a Markdown table; numbers are rounded, missing values are empty."""
    lines = [list(map(str, table.columns)), ["---"] * len(table.columns)]
    lines += [
        [numbers.cell(value).replace("|", "\\|") for value in row]
        for row in table.itertuples(index=False)
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
