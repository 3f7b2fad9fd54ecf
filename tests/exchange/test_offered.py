"""The trained models that the repository offers (``resources/models``)."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import rungs
from rungs.api import Trained
from rungs.paths import ROOT
from rungs.tables import read_rows

#: the run, its archive, and the evidence of the same training
LADDER = "mnist/lvae-bn-wu/depth5/seed0"
ARCHIVE = ROOT / "resources/models/ladder-mnist.zip"
EVIDENCE = ROOT / "resources/evidence/reference"


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    # loading unpacks it beside itself
    return rungs.load(shutil.copy(ARCHIVE, tmp_path_factory.mktemp("models")))


def test_every_offered_model_is_tested() -> None:
    assert [*ARCHIVE.parent.glob("*.zip")] == [ARCHIVE]
    assert f"resources/models/{ARCHIVE.name}" in (ROOT / "README.md").read_text()


def test_it_is_the_run_of_the_evidence(ladder: Trained) -> None:
    assert ladder.name == LADDER
    row = next(row for row in read_rows(EVIDENCE / "tables/loglik.csv") if row["run"] == LADDER)
    assert ladder.evaluation is not None
    bound = ladder.evaluation["test/lk"]
    assert len(bound) == int(row["test_images"]) == 10_000
    assert float(bound.mean()) == pytest.approx(float(row["test_lk"]), abs=1e-4)


def test_its_weights_give_digits_that_likelihood(ladder: Trained) -> None:
    """Of the embedded digits, which are of the same kind: L_100 lies some nats below L_5000, and their
    standard error is two; weights of another run or layer would lose a hundred nats."""
    digits = rungs.load_data("mnist5k").test_images[:100]
    bound = ladder.log_likelihood(digits, k=100)
    assert -90 < float(bound.mean()) < -75
    assert float(np.abs(ladder.reconstruct(digits) - digits / 255).mean()) < 0.06


def test_it_draws_digits(ladder: Trained) -> None:
    images = ladder.sample(64)
    assert images.shape == (64, 28, 28)
    ink = rungs.load_data("mnist5k").test_images.mean() / 255
    assert float(images.mean()) == pytest.approx(float(ink), rel=0.25)
