"""``claims``: what the documents state, and what these runs say about it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from rungs.claims import claims
from rungs.claims.arrays import READ
from rungs.claims.core import StoredRun
from rungs.claims.intervals import Measurement
from rungs.claims.stated import stated
from rungs.claims.verdicts import Decision, PartDecision, decide
from rungs.storage import result_file
from rungs.study.layout import BEFORE, Files

COLUMNS = [
    *(
        "claim",
        "part",
        "document",
        "dataset",
        "statement",
        "unit",
        "measured",
        "relation",
        "margin",
    ),
    *("low", "high", "drift", "gap", "seeds", "verdict", "leaning", "basis", "sizes", "reason"),
    *("published", "published_basis", "runs"),
]
#: significant digits of half an interval, and of a number without one
DIGITS, ALONE = 3, 4


def make(files: Files) -> pd.DataFrame:
    """Make the table: for each claim and data set a row, whose part is empty, and one a part.

    ``low`` and ``high`` are the interval, widened by ``drift`` and ``gap``; ``basis`` says what it is over,
    or why there is no verdict. ``leaning`` is no verdict. ``published`` is the document's own number
    where data, binarisation and networks are the same. ``reason`` says why the margin is what it is.
    """
    pairs = zip(files["training"], files["evaluation"], strict=True)
    runs = [read_run(Path(training), Path(evaluation)) for training, evaluation in pairs]
    datasets = list(dict.fromkeys(run.settings["dataset"] for run in runs))
    rows: list[dict[str, Any]] = []
    for claim in claims():
        # a claim about data that the profile has not is still listed, as undecided
        for dataset in [d for d in datasets if d.startswith(claim.data)] or [claim.data]:
            rows += rows_of(decide(claim, dataset, runs))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype({"seeds": "Int64"})


def read_run(training: Path, evaluation: Path) -> StoredRun:
    """Read what the claims need of a run, the evaluation before its continuation apart."""
    found = result_file.read(evaluation, only=(*READ, BEFORE))
    before = {n: array for n, array in found.arrays.items() if n.startswith(BEFORE)}
    after = {n: array for n, array in found.arrays.items() if n not in before}
    before = {name.removeprefix(BEFORE): array for name, array in before.items()}
    return StoredRun(
        result_file.read(training, only=()),
        replace(found, arrays=after),
        replace(found, arrays=before) if before else None,
    )


def rows_of(decision: Decision) -> Iterator[dict[str, Any]]:
    """Yield the row of a claim, then those of its parts."""
    claim = decision.claim
    common = {
        "claim": claim.name,
        "document": claim.document,
        "dataset": decision.dataset,
    }
    yield common | {
        "part": "",
        "statement": claim.statement,
        "unit": "",
        "relation": "",
        "seeds": decision.seeds,
        "verdict": decision.verdict,
        "leaning": decision.leaning,
        "basis": decision.basis,
        "sizes": "",
        "reason": "",
        "published_basis": "",
        "runs": " ".join(decision.runs),
    }
    for decided in decision.parts:
        yield common | _part_row(decided)


def _part_row(decided: PartDecision) -> dict[str, Any]:
    part, found = decided.part, decided.measured
    published, published_basis = stated(part, decided.settings)
    decimals = decimals_of(found)
    numbers = {
        "measured": found.value,
        "low": found.low,
        "high": found.high,
        "drift": decided.drift,
        "gap": decided.gap,
    }
    return {
        "part": part.name,
        "statement": part.measures,
        "unit": part.unit,
        "relation": part.relation,
        "margin": float(part.margin),
        # adding 0 takes the sign from a zero, which is that of a rounding error
        **{name: round(number, decimals) + 0.0 for name, number in numbers.items()},
        "seeds": found.seeds,
        "verdict": decided.verdict,
        "leaning": decided.leaning,
        "basis": decided.basis,
        "sizes": decided.sizes,
        "reason": part.reason,
        "published": published,
        "published_basis": published_basis,
        "runs": " ".join(decided.runs),
    }


def decimals_of(found: Measurement) -> int:
    """Return how many decimals of a measurement are worth showing.

    Example:
        >>> decimals_of(Measurement(0.51234, 0.21234, 0.81234, 3))
        3
    """
    half = (found.high - found.low) / 2
    scale, digits = (half, DIGITS) if half > 0 else (abs(found.value), ALONE)
    if not math.isfinite(scale) or scale == 0:
        return 0
    return max(0, digits - 1 - math.floor(math.log10(scale)))
