"""Results say where they come from."""

from __future__ import annotations

from rungs.study import provenance


def test_results_say_where_they_come_from() -> None:
    found = provenance.describe()
    assert {"rungs", "commit", "python", "packages", "machine"} <= set(found)
    assert found["packages"]["torch"].startswith("2.")
