"""The benchmark of the quantiser."""

from __future__ import annotations

from rungs.bench import Scale
from rungs.bench.vq import measure


def test_the_benchmark_compares_the_same_codes() -> None:
    rows = [row for row in measure(Scale(repetitions=2)) if row.subject == "ours"]
    assert len(rows) == 3
    assert all(float(row.note.split()[0]) > 99.9 for row in rows)
