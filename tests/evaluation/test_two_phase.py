"""L_k of many images of which few take all samples: exact parts, unbiased, with an error that covers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rungs.evaluation.likelihood import estimate
from rungs.evaluation.lk_error import lk_standard_error
from rungs.evaluation.run import Inputs, evaluate
from rungs.evaluation.two_phase import completed, is_refined
from rungs.exchange.recomputation import verify_run
from rungs.jobs.train import train
from rungs.models.linear_gaussian import LinearGaussian
from rungs.numerics.seeds import LIKELIHOOD_BLOCK as BLOCK
from rungs.storage import result_file


def test_completion_by_hand() -> None:
    """Two blocks of three have all samples; the error is that of two blocks drawn of three."""
    fewer = np.repeat([-90.0, -100.0, -110.0], BLOCK)
    lk = fewer + np.repeat([0.1, np.nan, 0.3], BLOCK)
    found, error = completed(fewer, lk)
    np.testing.assert_allclose(found, fewer + np.repeat([0.1, 0.2, 0.3], BLOCK))
    assert found.mean() == pytest.approx(fewer.mean() + 0.2)
    spread = np.std([0.1, 0.3], ddof=1)
    assert error == pytest.approx(spread / np.sqrt(2) * np.sqrt(1 - 2 / 3))


@pytest.mark.parametrize("skewness", ["as measured", "more"])
def test_the_error_covers(skewness: str) -> None:
    """One block in ten has all samples; the differences are as skewed as those of a trained ladder, or more.

    Of a depth-5 ladder on MNIST, L_5000 - L_1000 of 300 test images had the mean 0.10, the standard deviation
    0.21 and the largest value 1.7 nats; the lognormal with the moments of its logarithm has 0.11 and 0.36.
    """
    sigma = {"as measured": 1.55, "more": 1.9}[skewness]
    random = np.random.default_rng(0)
    difference = random.lognormal(-3.4, sigma, size=10_000)
    fewer = random.normal(-82, 20, size=10_000)
    refined = np.repeat([is_refined(block, 10, seed=3) for block in range(200)], BLOCK)
    inside, off = 0, []
    for _ in range(1000):
        random.shuffle(difference)
        found, error = completed(fewer, np.where(refined, fewer + difference, np.nan))
        off.append(found.mean() - (fewer + difference).mean())
        inside += abs(off[-1]) < 1.96 * error
    assert abs(np.mean(off)) < 3 * np.std(off) / np.sqrt(len(off)), "biased"
    assert 0.88 < inside / 1000 < 0.98


def model_and_images(images: int) -> tuple[LinearGaussian, torch.Tensor]:
    """A model with a proposal that is too wide and off, and images of it."""
    random = torch.Generator().manual_seed(0)
    model = LinearGaussian(12, 4, random, 1.5, 1.0)
    return model, model.simulate(images, random)


def test_refined_blocks_are_those_of_the_whole_protocol() -> None:
    model, x = model_and_images(12 * BLOCK)
    whole = estimate(model, x, 100, seed=1, chunk_rows=2000)
    few = estimate(model, x, 100, seed=1, chunk_rows=2000, refine_every=4)
    refined = np.repeat([is_refined(block, 4, seed=1) for block in range(12)], BLOCK)
    assert refined.sum() == 3 * BLOCK
    assert few.nested_k == whole.nested_k == [1, 10, 100]
    for name in ("lk", "elbo", "ess", "nested_lk"):
        ours, theirs = getattr(few, name)[..., refined], getattr(whole, name)[..., refined]
        assert torch.equal(ours, theirs), name
    assert bool(few.lk[~refined].isnan().all())
    assert bool(few.nested_lk[:-1].isfinite().all())


def test_the_mean_is_that_of_all_samples() -> None:
    """Within its error, which is far below that over images."""
    model, x = model_and_images(60 * BLOCK)
    whole = estimate(model, x, 100, seed=0, chunk_rows=20_000)
    few = estimate(model, x, 100, seed=0, chunk_rows=20_000, refine_every=5)
    found, error = completed(*few.nested_lk[-2:].numpy())
    assert abs(found.mean() - float(whole.lk.mean())) < 4 * error
    over_images = float(whole.lk.std()) / len(x) ** 0.5
    assert error < over_images / 2
    arrays = {"test/lk": found, "test/lk_error": np.array(error)}
    assert lk_standard_error(arrays) == pytest.approx(
        np.hypot(found.std(ddof=1) / len(x) ** 0.5, error)
    )


def test_a_run_with_few_refined_blocks(
    settings_of: Callable[..., dict[str, Any]], digits: Path, tmp_path: Path
) -> None:
    """Its arrays are complete, the parts of two jobs give the same, and it can be verified."""
    train(settings_of(epochs=1), digits, tmp_path, 5)
    settings: Any = {
        "samples": 20,
        "refine_every": 2,
        "images": 1000,
        "train_images": 20,
        "unit_samples": 2,
        "chunk_rows": 2000,
    }
    evaluate(Inputs(tmp_path, digits, settings))
    found = result_file.read(tmp_path / "evaluation.h5")
    assert found["test/lk"].shape == (1000,)
    assert np.isfinite(found["test/lk"]).all()
    assert found["test/ess"].shape == (500,)
    np.testing.assert_array_equal(found["test/lk"], found["test/nested_lk"][-1])
    assert 0 < found["test/lk_error"] < lk_standard_error(found.arrays)
    assert np.isfinite(found["before/test/lk"]).all()
    compared = verify_run(tmp_path, digits, images=2 * BLOCK)
    assert [each.quantity for each in compared] == ["test/elbo"]
    assert all(each.agrees for each in compared)
