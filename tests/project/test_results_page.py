"""The verdicts on complete data in ``docs/results.md`` are those of the evidence."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rungs.claims.intervals import MIN_SEEDS
from rungs.paths import ROOT
from rungs.report.claims import Row, claim_rows, number, part_rows
from rungs.tables import read_rows

CLAIMS = ROOT / "resources/evidence/reference/tables/claims.csv"
PAGE = ROOT / "docs/results.md"
#: claims that compare other sizes than they say, as long as the runs of z = 2 are not collected
OF_OTHER_SIZES = {"vae.1"}


def cell(row: Row, parts: Sequence[Row]) -> str:
    """The cell of a claim: its verdict, and what was measured with its interval, part by part."""
    measured = [
        f"{part['part']}: " * (len(parts) > 1)
        + f"{number(part['measured'])} [{number(part['low'])}, {number(part['high'])}]"
        for part in parts
    ]
    return f"**{row['verdict']}**: {'; '.join(measured)}"


def expected() -> dict[str, str]:
    """The cells of the claims whose parts were all measured with enough seeds."""
    rows = read_rows(CLAIMS)
    cells = {}
    for row in claim_rows(rows):
        parts = part_rows(rows, row) or [row]
        if row["claim"] not in OF_OTHER_SIZES and all(
            part["measured"] and int(part["seeds"]) >= MIN_SEEDS for part in parts
        ):
            cells[row["claim"]] = cell(row, parts)
    return cells


def test_the_page_has_the_verdicts_of_the_evidence() -> None:
    found = dict(
        re.findall(r"^\| `(\w+\.\d+)`: .* \| (\*\*.*) \|$", PAGE.read_text(), re.MULTILINE)
    )
    assert found == expected()
