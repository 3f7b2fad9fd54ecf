"""The tables of a profile as the report shows them: what was measured first, rounded to its error."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungs.report.rounding import rounded, with_error
from rungs.tables import TABLES, numbers, read_rows

if TYPE_CHECKING:
    import pandas as pd

#: columns that a run's path says already; the CSV files have them
SAID = ("dataset", "variant", "depth", "seed", "latent_dim", "codes")
#: columns that tell the rows of a run apart; they stand at the left and stay in sight
KEYS = ("run", "rule", "layer", "features", "encoder", "labels_a_class")
#: table -> what it is read for, in order; the other columns follow as the CSV file has them
FIRST = {
    "loglik": ("test_lk", "test_lk_gap", "test_elbo", "train_elbo", "k", "converged", "published"),
    "active_units": ("active_kl", "active_variance", "units", "kl_nats"),
    "perplexity": ("bits_per_dim", "test_lk", "perplexity", "frechet", "multimodal"),
    "vq": ("bits_per_dim", "codes_used", "perplexity", "swapped_nats", "reconstruction_mse"),
    "linear_probe": ("accuracy", "draws_se"),
    "moments": (
        *("second_moment_sum", "train_second_moment_sum", "largest_deviation", "largest_mean"),
        *("least_kurtosis", "largest_kurtosis", "r", "active", "latents"),
    ),
    "autoencoder": ("mse", "pca_mse", "rotated_mse", "prior_distance", "fitted_distance"),
}
#: column -> the column of its standard error, where that is not ``<column>_se``; ``draws_se`` is of another
ERRORS = {"ks_statistic": "ks_error", "draws": ""}
#: column -> the error by which it is rounded without showing it: bounds over the same images
ROUNDED_LIKE = {
    "test_elbo": "test_lk_se",
    "train_elbo": "test_lk_se",
    "bits_per_dim_elbo": "bits_per_dim_se",
}
#: cells with more characters wrap
LONG = 40


@dataclass(frozen=True)
class Cell:
    """A cell: its text, and the number or text by which its column is sorted."""

    text: str
    sort: str


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        kind: ``number``, ``long`` for text that wraps, or ``text``.
        fixed: whether it stays in sight when the table is scrolled.
    """

    name: str
    kind: str
    fixed: bool


@dataclass(frozen=True)
class Sheet:
    """A table as a page shows it.

    Attributes:
        file: its CSV file, relative to the profile's folder.
        left_out: columns of the CSV file that are not shown.
    """

    name: str
    title: str
    look_for: str
    document: str | None
    file: str
    columns: list[Column] = field(default_factory=list)
    rows: list[list[Cell]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def sheet(name: str, path: Path) -> Sheet:
    """Read a table of the registry as a sheet.

    Raises:
        StoreError: if the file is damaged.
    """
    import pandas as pd

    entry = TABLES[name]
    made = Sheet(name, entry.title, entry.look_for, entry.document, f"tables/{path.name}")
    if not read_rows(path):  # which tells of damage
        return made
    table = entry.on_a_page(pd.read_csv(path))
    errors = {column: error for column in table if (error := _error_of(column, table))}
    empty = {column for column in table if table[column].isna().all()}
    said = {column for column in SAID if column in table and "run" in table}
    hidden = said | empty | set(errors.values())
    for column in _ordered(name, [column for column in table if column not in hidden]):
        cells = _cells(table, column, errors)
        made.columns.append(Column(column, _kind(table[column], cells), column in KEYS))
        for row, cell in enumerate(cells):
            if row == len(made.rows):
                made.rows.append([])
            made.rows[row].append(cell)
    made.left_out.extend(column for column in table if column in said | empty)
    return made


def _error_of(column: str, table: pd.DataFrame) -> str | None:
    error = ERRORS.get(column, f"{column}_se")
    return error if error in table and column in table else None


def _ordered(name: str, columns: list[str]) -> list[str]:
    """Return the columns: those that tell rows apart, then what the table is read for, then the others."""
    keys = [key for key in KEYS if key in columns]
    first = [column for column in FIRST.get(name, ()) if column in columns]
    return list(dict.fromkeys([*keys, *first, *columns]))


def _kind(column: pd.Series, cells: list[Cell]) -> str:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_numeric_dtype(column.dtype) and not is_bool_dtype(column.dtype):
        return "number"
    return "long" if any(len(cell.text) > LONG for cell in cells) else "text"


def _cells(table: pd.DataFrame, column: str, errors: dict[str, str]) -> list[Cell]:
    from pandas.api.types import is_float_dtype

    values = table[column].tolist()
    shown = table[errors[column]].tolist() if column in errors else [math.nan] * len(values)
    like = ROUNDED_LIKE.get(column)
    hidden = table[like].tolist() if like in table else [math.nan] * len(values)
    counts = is_float_dtype(table[column].dtype) and all(
        math.isnan(value) or (value.is_integer() and abs(value) < numbers.LARGE) for value in values
    )
    return [
        Cell(_text(value, error, other, counts), _sort(value))
        for value, error, other in zip(values, shown, hidden, strict=True)
    ]


def _text(value: Any, error: float, like: float, counts: bool) -> str:
    if _missing(value):
        return ""
    if not isinstance(value, float):
        return {True: "yes", False: "no"}.get(value, str(value)) if _is_bool(value) else str(value)
    if counts:
        return f"{value:.0f}"
    if error > 0:
        return with_error(value, error)
    return rounded(value, like) if like > 0 else numbers.shown(value)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _sort(value: Any) -> str:
    if _missing(value):
        return ""
    return f"{value:.7g}" if isinstance(value, float) else str(value)
