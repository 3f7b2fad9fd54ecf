"""The numbers and the text of tables."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rungs.storage.result_file import Stored
from rungs.tables import TABLES, save, to_markdown
from rungs.tables import moments as moments_table
from rungs.tables.perplexity import likelihood_columns
from rungs.tables.vq import perplexity


def test_perplexity() -> None:
    assert perplexity(np.full(8, 0.125)) == pytest.approx(8)
    assert perplexity(np.array([1.0, 0.0])) == 1


def test_a_likelihood_that_has_no_perplexity_is_infinitely_perplexed() -> None:
    """A VAE after three epochs on 128 x 128 x 3 pixels had -14,600 nats a dimension."""
    arrays = {"pictures/originals": np.zeros((1, 4), np.uint8), "test/nested_k": np.array([10])}

    def columns_of(*lk: float) -> dict[str, float | None]:
        return likelihood_columns(Stored(Path("e.h5"), arrays | {"test/lk": np.array(lk)}, {}))

    columns = columns_of(-6e4, -5.9e4)
    assert columns["perplexity"] == math.inf
    assert columns["test_lk"] == -59500
    assert columns_of(-4.0, -4.0)["perplexity"] == pytest.approx(math.e)


def test_tables_show_missing_integers_as_empty() -> None:
    """A layer whose prior does not factorise has no count of active units."""
    table = pd.DataFrame({"active_kl": pd.array([3, None], dtype="Int64"), "x": [0.5, None]})
    assert to_markdown(table).splitlines()[2:] == ["| 3 | 0.50 |", "|  |  |"]


def test_numbers_keep_the_digits_that_mean_something(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": [-103.42171478271484, 2.1e-31, 128581292322193.4], "n": [1, 2, 3]})
    save(table, tmp_path / "t")
    assert (tmp_path / "t.csv").read_text() == "x,n\n-103.4217,1\n2.1e-31,2\n1.285813e+14,3\n"
    rows = (tmp_path / "t.md").read_text().splitlines()[2:]
    assert rows == ["| -103.42 | 1 |", "| 2.1e-31 | 2 |", "| 1.286e+14 | 3 |"]


def test_moments_are_summarised_over_active_latents(tmp_path: Path) -> None:
    """The page has a row a layer; the CSV file keeps every latent."""
    table = pd.DataFrame(
        {
            "run": "a",
            "layer": [1, 1, 1, 2],
            "how": "exact",
            "prior": "N(0, I)",
            "active": [True, True, False, False],
            "mean": [0.1, -0.3, 5.0, 0.0],
            "second_moment_sum": [1.2, 0.9, 7.0, 1.0],
            "train_second_moment_sum": [1.1, 1.0, 7.0, 1.0],
            "kurtosis": [2.0, 4.0, 9.0, 3.0],
            "r": [0.5, -0.1, 0.2, np.nan],
        }
    )
    first, second = moments_table.summarise(table).to_dict("records")
    assert (first["latents"], first["active"], second["latents"], second["active"]) == (3, 2, 1, 0)
    assert first["largest_mean"] == pytest.approx(0.3)
    assert first["second_moment_sum"] == pytest.approx(1.05)
    assert first["largest_deviation"] == pytest.approx(0.2)
    assert (first["least_kurtosis"], first["largest_kurtosis"]) == (2.0, 4.0)
    assert first["r"] == pytest.approx(0.2)
    assert np.isnan(second["second_moment_sum"])
    save(table, tmp_path / "moments", TABLES["moments"])
    assert len((tmp_path / "moments.md").read_text().splitlines()) == 4
    assert len((tmp_path / "moments.csv").read_text().splitlines()) == 5
