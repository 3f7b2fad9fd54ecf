"""What evidence keeps of many images: as small as it should be, and the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import changed
from rungs.claims.arrays import DISTANCES, KURTOSIS, frechet
from rungs.claims.moments import kurtosis
from rungs.claims.resampling import UNIFORM, Resampling
from rungs.evaluation.definitions import is_claimed
from rungs.exchange.reduction import (
    BLOCKS,
    IMAGES,
    Use,
    block_means,
    chosen_images,
    slim_evaluation,
    slim_history,
    uses,
)
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.storage.result_file import Stored
from rungs.study import profile
from rungs.study.runs import Run, runs
from rungs.study.settings import resolve
from rungs.tables import claims, loglik, to_csv

Config = dict[str, Any]
NOTHING = Use(frozenset(), frozenset())
LADDER = Use(frozenset(), frozenset({"ladder.2", "ladder.6", "ladder.8"}))
#: units of the paper's ladder
UNITS = (64, 32, 16, 8, 4)
MANY = 10_000


def stored(arrays: dict[str, Any], **attributes: Any) -> Stored:
    return Stored(Path("evaluation.h5"), arrays, attributes)


def ladder(images: int, units: tuple[int, ...], seed: int, lk: float = -82.0) -> dict[str, Any]:
    """The arrays of an evaluation of a ladder, as they are at the end of a training."""
    random = np.random.default_rng(seed)
    bound = lk + 20 * random.normal(size=images)
    arrays: dict[str, Any] = {
        "test/lk": bound,
        "test/elbo": bound - random.gamma(4.0, size=images),
        "test/ess": random.gamma(2.0, 10.0, size=images),
        "test/nested_k": np.array([1, 10, 100, 1000, 5000]),
        "test/nested_lk": bound - np.arange(5)[::-1, None] * random.gamma(1.0, size=images),
        "test/lk_gap": np.array(0.1),
        "test/labels": random.integers(0, 10, images),
        "train/elbo": (lk + 20 * random.normal(size=images)).astype(np.float32),
        "pictures/originals": random.integers(0, 2, (100, 784)).astype(np.uint8) * 255,
        "pictures/samples": random.integers(0, 256, (100, 784)).astype(np.uint8),
    }
    for layer, count in enumerate(units, 1):
        kl = random.gamma(0.5, 0.05, size=(images, count)).astype(np.float32)
        arrays |= {
            f"layers/{layer}/image_kl": kl,
            f"layers/{layer}/kl": kl.mean(0, dtype=np.float64),
            f"layers/{layer}/active_variance": kl.std(0),
            f"layers/{layer}/knn_correct": random.random(images) < 0.95,
            f"layers/{layer}/sample": random.normal(size=(images, count)).astype(np.float32),
            f"layers/{layer}/posterior_mean": random.normal(size=(images, count)).astype("f4"),
        }
    return arrays | {f"before/{name}": a for name, a in arrays.items() if is_claimed(name)}


def test_a_run_on_complete_data_is_small(tmp_path: Path) -> None:
    found = stored(ladder(MANY, UNITS, 0), run={})
    epochs = np.random.default_rng(1).random((600, sum(UNITS)))
    history = {"elbo": epochs[:, 0], "layers/1/kl": epochs, "scheduled/w": np.zeros((784, 512))}
    result_file.write(tmp_path / "e.h5", slim_evaluation(found, LADDER), {}, small=True)
    result_file.write(tmp_path / "t.h5", slim_history(stored(history), LADDER), {}, small=True)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 250_000
    shown = Use(frozenset({"ladder_pca", "ladder_samples", "ladder_kl_history"}), LADDER.claims)
    result_file.write(tmp_path / "e.h5", slim_evaluation(found, shown), {}, small=True)
    result_file.write(tmp_path / "t.h5", slim_history(stored(history), shown), {}, small=True)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 750_000


def test_means_are_those_of_all_images() -> None:
    arrays = ladder(MANY, (6, 3), 0)
    slim = slim_evaluation(stored(arrays), LADDER)
    for name in ("test/lk", "test/elbo", "train/elbo"):
        np.testing.assert_allclose(
            slim[name].mean(dtype=np.float64), arrays[name].mean(dtype=np.float64), rtol=1e-9
        )
    for name in ("layers/1/image_kl", "before/layers/1/image_kl", "before/test/lk"):
        whole = arrays[name].mean(0, dtype=np.float64)
        np.testing.assert_allclose(slim[name].mean(0, dtype=np.float64), whole, rtol=1e-6)
    assert np.median(slim["test/ess"]) == np.median(arrays["test/ess"])
    np.testing.assert_allclose(slim["test/nested_lk"][:, 0], arrays["test/nested_lk"].mean(1))
    np.testing.assert_array_equal(slim["layers/2/knn_correct"], arrays["layers/2/knn_correct"])
    assert not any("sample" in name for name in slim)


@pytest.mark.parametrize("images", [10_000, 8_070])
def test_blocks_keep_the_mean_and_its_error(images: int) -> None:
    """Images are stored in an order; blocks of neighbours would vary too much."""
    values = (
        np.random.default_rng(0).normal(size=(images, 200)) + np.linspace(-1, 1, images)[:, None]
    )
    found = block_means(values)
    assert found.shape == (BLOCKS, 200)
    np.testing.assert_allclose(found.mean(0, dtype=np.float64), values.mean(0), atol=1e-7)
    error = values.std(0, ddof=1) / np.sqrt(images)
    by_blocks = found.std(0, ddof=1) / np.sqrt(BLOCKS)
    assert np.mean(by_blocks / error) == pytest.approx(1, abs=0.03)


def test_a_scatter_plot_keeps_images_with_their_labels() -> None:
    arrays = ladder(MANY, (6, 3), 0)
    arrays["test/labels"] = np.arange(MANY)
    slim = slim_evaluation(stored(arrays), Use(frozenset({"ladder_pca"}), LADDER.claims))
    rows = slim["test/labels"]
    np.testing.assert_array_equal(rows, chosen_images(MANY))
    assert len(np.unique(rows)) == IMAGES
    np.testing.assert_allclose(
        slim["layers/1/sample"], arrays["layers/1/sample"][rows], rtol=1e-3, atol=1e-6
    )


def test_what_claims_compute_of_features_and_posteriors_is_kept() -> None:
    random = np.random.default_rng(0)
    arrays = ladder(2000, (3,), 0)
    for kind in ("test", "sample", "fitted"):
        arrays[f"frechet/{kind}_features"] = random.normal(size=(2000, 4)).astype(np.float32)
    arrays["layers/1/posterior_variance"] = random.random((2000, 3)).astype(np.float32)
    arrays |= {f"before/{n}": a for n, a in arrays.items() if is_claimed(n)}
    found = stored(arrays)
    slim = slim_evaluation(found, Use(frozenset(), frozenset({"moments.3", "moments.6"})))
    assert not any("features" in name or "posterior" in name for name in slim)
    again = stored(slim)
    for resampling in (UNIFORM, Resampling(0), Resampling(19)):
        for kind in ("sample", "fitted"):
            np.testing.assert_array_equal(
                frechet(again, resampling, kind), frechet(found, resampling, kind)
            )
        np.testing.assert_allclose(
            kurtosis(again, resampling), kurtosis(found, resampling), rtol=1e-6
        )
    assert slim[f"before/{KURTOSIS}"].shape == (1, 3)
    assert slim[f"before/{DISTANCES.format('sample')}"].shape == (1,)
    assert KURTOSIS not in slim_evaluation(found, LADDER)


def test_codes_keep_how_often_each_occurs() -> None:
    arrays = {
        "test/labels": np.zeros(2000),
        "test/codes": np.random.default_rng(0).integers(0, 64, (2000, 49)),
    }
    slim = slim_evaluation(stored(arrays), LADDER)
    assert slim["test/codes"].shape == arrays["test/codes"].shape
    np.testing.assert_array_equal(
        np.bincount(slim["test/codes"].ravel()), np.bincount(arrays["test/codes"].ravel())
    )


def test_up_to_a_thousand_images_all_that_is_read_stays_as_it_is() -> None:
    arrays = ladder(IMAGES, (3,), 0)
    slim = slim_evaluation(stored(arrays), LADDER)
    for name, array in slim.items():
        np.testing.assert_array_equal(array, arrays[name])
    assert arrays.keys() - slim.keys() == {"pictures/samples", "layers/1/sample"}
    without = slim_evaluation(stored(arrays), NOTHING)
    assert not any(n.startswith("before/") or "image_kl" in n for n in without)


def test_the_uses_of_runs_follow_figures_and_claims(smoke_config: Config) -> None:
    found = uses(smoke_config)
    assert list(found) == runs(smoke_config)
    deep = found[Run("mnist5k", "lvae-bn-wu", 5, 0)]
    assert {"ladder_pca", "ladder_samples", "ladder_kl_history"} <= deep.figures
    assert {"ladder.4", "ladder.7"} <= deep.claims
    assert "moments.3" in found[Run("mnist5k", "gauss", 2, 0, "latent")].claims
    seeds = changed(smoke_config, "experiments.ladder.0.seeds", [0, 1])
    assert "ladder_pca" not in uses(seeds)[Run("mnist5k", "lvae-bn-wu", 5, 1)].figures


def test_claims_of_three_seeds_and_bounds_are_decided_the_same(tmp_path: Path) -> None:
    """The tables of 3,000 images, from all and from what evidence keeps; claims byte for byte."""
    config = profile.load([ROOT / "config" / "smoke.yaml"])
    variants = ("vae", "vae-bn", "vae-bn-wu", "lvae-bn-wu")
    asked = [Run("mnist5k", v, d, s) for v in variants for d in (2, 5) for s in range(3)]
    files: dict[str, dict[str, list[Path]]] = {k: {"training": [], "evaluation": []} for k in "as"}
    for number, run in enumerate(asked):
        attributes = {"run": resolve(config, run), "parameters": 1, "pixels": 784}
        units = (5, 4, 3, 3, 2)[: run.depth]
        arrays = ladder(3000, units, number, -82 + 0.3 * variants.index(run.variant))
        # no multiples of printed digits: a difference of 0.015 is 0.01 or 0.02, as its last bit falls
        arrays["before/test/lk"] = arrays["test/lk"] - 0.1 - 0.0113 * number**2
        arrays["test/lk_gap"] = np.array(0.1 + 0.00113 * number**2)
        found = stored(arrays, **attributes)
        for kind, kept in (("a", arrays), ("s", slim_evaluation(found, LADDER))):
            folder = tmp_path / kind / run.path
            result_file.write(folder / "evaluation.h5", kept, attributes, small=kind == "s")
            result_file.write(
                folder / "training.h5", {"elbo": np.linspace(-90, -82, 4)}, attributes
            )
            for name in files[kind]:
                files[kind][name].append(folder / f"{name}.h5")
    whole, slim = (to_csv(claims.make(files[kind])) for kind in "as")
    assert whole == slim
    assert whole.count("\n") > len(asked)
    bounds, again = (loglik.make(files[kind]) for kind in "as")
    # but for rounding to float32
    pd.testing.assert_frame_equal(bounds, again, check_exact=False, rtol=1e-6)
