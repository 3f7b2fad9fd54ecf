"""The rows of the table ``claims``, as pages and the command line show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rungs.claims.core import VERDICTS
from rungs.claims.intervals import MIN_SEEDS
from rungs.claims.verdicts import LACKING
from rungs.errors import StoreError
from rungs.study.layers import Config
from rungs.study.layout import Layout
from rungs.tables import read_rows

Row = dict[str, str]
#: columns that are numbers where they are not empty
NUMBERS = ("measured", "margin", "low", "high", "drift", "gap", "published")


def read_claims(config: Config) -> list[Row]:
    """Read the rows of the table ``claims``.

    Raises:
        StoreError: if there is none, or if an older version made it.
    """
    path = Path(Layout(config["profile"]).table("claims", ".csv"))
    remedy = (
        f"make it with 'snakemake --cores all {path}' and the same configuration, or with 'rungs table "
        "claims' once the runs are evaluated."
    )
    if not path.is_file():
        raise StoreError(f"{path}: the table of claims is missing; {remedy}")
    rows = read_rows(path)
    if rows and "part" not in rows[0]:
        raise StoreError(f"{path}: the table of claims is of an older version; {remedy}")
    return rows


def claim_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of claims of which the profile has runs, without those of their parts."""
    return [row for row in rows if not row["part"] and not row["basis"].startswith(LACKING)]


def part_rows(rows: Sequence[Row], claim: Row) -> list[Row]:
    """Return the rows of the parts of a claim."""
    key = claim["claim"], claim["dataset"]
    return [row for row in rows if row["part"] and (row["claim"], row["dataset"]) == key]


def absent(rows: Sequence[Row]) -> list[str]:
    """Return the names of the claims of which the profile has no runs, each once."""
    present = {row["claim"] for row in claim_rows(rows)}
    return list(dict.fromkeys(row["claim"] for row in rows if row["claim"] not in present))


def too_few_seeds(rows: Sequence[Row]) -> bool:
    """Return whether there are claims, and no part of any has the seeds that deciding takes.

    Example:
        >>> row = {"claim": "ladder.5", "dataset": "mine", "part": "", "seeds": "1", "basis": "1 seed"}
        >>> too_few_seeds([row, row | {"part": "units"}])
        True
        >>> too_few_seeds([row, row | {"part": "units", "seeds": "3"}])
        False
    """
    parts = [part for claim in claim_rows(rows) for part in part_rows(rows, claim)]
    return bool(parts) and all(int(part["seeds"]) < MIN_SEEDS for part in parts)


def count(rows: Sequence[Row]) -> str:
    """Return how many claims have which verdict; a leaning is none.

    Example:
        >>> count([{"part": "", "verdict": "undecided", "leaning": "for", "basis": "1 seed"}])
        '0 reproduced, 0 not reproduced, 1 undecided'
    """
    found = Counter(row["verdict"] for row in claim_rows(rows))
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS)


def number(value: str) -> str:
    """Return a number of the table with three significant digits; nothing where there is none.

    Example:
        >>> number("0.0354"), number("-12.3456"), number("1234.5"), number("")
        ('0.0354', '-12.3', '1234', '')
    """
    if not value:
        return ""
    found = float(value)
    return f"{found:.0f}" if abs(found) >= 1000 else f"{found:#.3g}".rstrip(".")


def interval(row: Row) -> str:
    """Return the interval of a part.

    Example:
        >>> interval({"low": "0.211", "high": "2.5"})
        '[0.211, 2.50]'
    """
    return f"[{number(row['low'])}, {number(row['high'])}]" if row["low"] else ""


def holds_if(row: Row) -> str:
    """Return when a part holds.

    Example:
        >>> holds_if({"relation": ">", "margin": "0.2"}), holds_if({"relation": "within", "margin": "10"})
        ('> 0.2', 'within 10')
    """
    return f"{row['relation']} {float(row['margin']):g}" if row["margin"] else ""


def verdict(row: Row) -> str:
    """Return a verdict with its leaning, where it has one.

    Example:
        >>> verdict({"verdict": "undecided", "leaning": "for"})
        'undecided, leaning for'
    """
    return f"{row['verdict']}, leaning {row['leaning']}" if row["leaning"] else row["verdict"]


def typed(row: Row) -> dict[str, Any]:
    """Return a row with numbers as numbers, missing ones as None, and runs as a list."""
    numbers = {name: float(row[name]) if row[name] else None for name in NUMBERS}
    return {**row, **numbers, "seeds": int(row["seeds"]), "runs": row["runs"].split()}
