"""The numbers and the text of tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rungs.tables import to_markdown
from rungs.tables.vq import perplexity


def test_perplexity() -> None:
    assert perplexity(np.full(8, 0.125)) == pytest.approx(8)
    assert perplexity(np.array([1.0, 0.0])) == 1


def test_tables_show_missing_integers_as_empty() -> None:
    """A layer whose prior does not factorise has no count of active units."""
    table = pd.DataFrame({"active_kl": pd.array([3, None], dtype="Int64"), "x": [0.5, None]})
    assert to_markdown(table).splitlines()[2:] == ["| 3 | 0.500 |", "|  |  |"]
