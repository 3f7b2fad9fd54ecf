"""L_k of many images of which few take all samples: exact parts, unbiased, with an error that covers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rungs.evaluation.likelihood import estimate
from rungs.evaluation.lk_error import lk_standard_error
from rungs.evaluation.run import Inputs, evaluate, evaluate_shard
from rungs.evaluation.two_phase import completed, refined_images
from rungs.exchange.recomputation import verify_run
from rungs.jobs.train import train
from rungs.models.linear_gaussian import LinearGaussian
from rungs.numerics.seeds import LIKELIHOOD_BLOCK as BLOCK
from rungs.storage import result_file


def test_completion_by_hand() -> None:
    """Two blocks of three have all samples; the error is that of two blocks drawn of three."""
    fewer = np.repeat([-90.0, -100.0, -110.0], BLOCK)
    lk = fewer + np.repeat([0.1, np.nan, 0.3], BLOCK)
    variance = np.repeat([0.2, np.nan, 0.4], BLOCK)
    found, error = completed(fewer, lk, variance)
    np.testing.assert_allclose(found, fewer + np.repeat([0.1, 0.2, 0.3], BLOCK))
    assert found.mean() == pytest.approx(fewer.mean() + 0.2)
    of_images = np.std([0.1, 0.3], ddof=1) ** 2 / 2 * (1 - 2 / 3)
    of_samples = 0.3 * BLOCK / (3 * BLOCK) ** 2  # a third of the images has the noise of L_j
    assert error == pytest.approx(np.sqrt(of_images + of_samples))
    with pytest.raises(ValueError, match="1 blocks"):
        completed(fewer[:BLOCK], lk[:BLOCK], variance[:BLOCK])


@pytest.mark.parametrize(("sigma", "least"), [(1.55, 0.88), (1.9, 0.82)])
@pytest.mark.parametrize("noise", [0.0, 0.45])
def test_the_error_covers(sigma: float, least: float, noise: float) -> None:
    """One block in ten has all samples; the differences are as skewed as those of a trained ladder, or more.

    Of a depth-5 ladder on MNIST, L_5000 - L_1000 of 300 test images had the mean 0.10, the standard deviation
    0.21 and the largest value 1.7 nats; the lognormal with the moments of its logarithm (sigma 1.55) has
    0.11 and 0.35. L_1000 of an image had a standard deviation of 0.45 over samples.
    """
    random = np.random.default_rng(0)
    difference = random.lognormal(-3.4, sigma, size=10_000)
    expected = random.normal(-82, 20, size=10_000)
    refined = refined_images(10_000, every=10, seed=3)
    variance = np.where(refined, noise**2, np.nan)
    inside, off = 0, []
    for _ in range(1000):
        random.shuffle(difference)
        # an image with all samples has its mean of five such bounds, which is taken as exact here
        fewer = expected + noise * np.where(refined, 0, random.normal(size=10_000))
        lk = np.where(refined, expected + difference, np.nan)
        found, error = completed(fewer, lk, variance)
        off.append(found.mean() - (expected + difference).mean())
        inside += abs(off[-1]) < 1.96 * error
    assert abs(np.mean(off)) < 3 * np.std(off) / np.sqrt(len(off)), "biased"
    assert least < inside / 1000 < 0.98


def model_and_images(images: int) -> tuple[LinearGaussian, torch.Tensor]:
    """A model with a proposal that is too wide and off, and images of it."""
    random = torch.Generator().manual_seed(0)
    model = LinearGaussian(12, 4, random, 1.5, 1.0)
    return model, model.simulate(images, random)


def test_refined_blocks_are_those_of_the_whole_protocol() -> None:
    model, x = model_and_images(12 * BLOCK)
    whole = estimate(model, x, 100, seed=1, chunk_rows=2000)
    few = estimate(model, x, 100, seed=1, chunk_rows=2000, refine_every=4)
    refined = refined_images(len(x), every=4, seed=1)
    assert refined.nonzero()[0].tolist() == [*range(50, 100), *range(250, 300), *range(450, 500)]
    assert few.nested_k == whole.nested_k == [1, 10, 100]
    for name in ("lk", "elbo", "ess", "nested_lk", "fewer_variance"):
        ours, theirs = getattr(few, name)[..., refined], getattr(whole, name)[..., refined]
        assert torch.equal(ours, theirs), name
    assert bool(few.lk[~refined].isnan().all())
    assert bool(few.nested_lk[:-1].isfinite().all())


def test_the_mean_is_that_of_all_samples() -> None:
    """Within its error, which is far below that over images, for one seed as for another."""
    model, x = model_and_images(60 * BLOCK)
    inside = 0
    for seed in range(20):
        whole = estimate(model, x, 100, seed, chunk_rows=20_000)
        few = estimate(model, x, 100, seed, chunk_rows=20_000, refine_every=5)
        found, error = completed(*few.nested_lk[-2:].numpy(), few.fewer_variance.numpy())
        inside += abs(found.mean() - float(whole.lk.mean())) < 1.96 * error
        assert error < float(whole.lk.std()) / len(x) ** 0.5 / 2
    assert inside >= 17  # of 20 at 95 %, fewer has a probability of 0.016
    arrays = {"test/lk": found, "test/lk_error": np.array(error)}
    over_images = found.std(ddof=1) / len(x) ** 0.5
    assert lk_standard_error(arrays) == pytest.approx(np.hypot(over_images, error))


SMALL = {
    "samples": 20,
    "refine_every": 2,
    "images": 1000,
    "train_images": 20,
    "unit_samples": 2,
    "chunk_rows": 2000,
}


def test_a_run_with_few_refined_blocks(
    settings_of: Callable[..., dict[str, Any]], digits: Path, tmp_path: Path
) -> None:
    """Its arrays are complete and finite, the parts of three jobs give the same, and it can be verified."""
    train(settings_of(epochs=1), digits, tmp_path, 5)
    settings: Any = SMALL
    evaluate(Inputs(tmp_path, digits, settings))
    found = result_file.read(tmp_path / "evaluation.h5")
    assert found["test/lk"].shape == (1000,)
    assert np.isfinite(found["test/lk"]).all()
    assert found["test/ess"].shape == (500,)
    np.testing.assert_array_equal(found["test/lk"], found["test/nested_lk"][-1])
    assert all(np.isfinite(a).all() for name, a in found.arrays.items() if a.dtype.kind == "f")
    inputs = Inputs(tmp_path, digits, settings)
    shards = tuple(tmp_path / f"{i}.h5" for i in range(3))
    for i, path in enumerate(shards):
        evaluate_shard(inputs, (i, 3), path)
    evaluate(replace(inputs, shards=shards), tmp_path / "merged")
    whole, merged = (folder / "evaluation.h5" for folder in (tmp_path, tmp_path / "merged"))
    assert whole.read_bytes() == merged.read_bytes()
    compared = verify_run(tmp_path, digits, images=2 * BLOCK)
    assert {each.quantity: each.images for each in compared} == {"test/lk": 50, "test/elbo": 100}
    assert all(each.agrees for each in compared)


def test_a_wrong_number_of_a_refined_image_is_found(
    settings_of: Callable[..., dict[str, Any]], digits: Path, tmp_path: Path
) -> None:
    train(settings_of(epochs=1) | {"seed": 1}, digits, tmp_path, 5)
    settings: Any = SMALL | {"images": 200}
    evaluate(Inputs(tmp_path, digits, settings))
    path = tmp_path / "evaluation.h5"
    found = result_file.read(path)
    for image, agrees in ((10, True), (60, False)):  # seed 1 refines the second block
        lk = found["test/lk"].copy()
        lk[image] += 1
        result_file.write(path, found.arrays | {"test/lk": lk}, found.attributes)
        compared = {each.quantity: each.agrees for each in verify_run(tmp_path, digits)}
        assert compared == {"test/lk": agrees, "test/elbo": True}
