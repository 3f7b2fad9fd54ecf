"""The VQ-VAE's claims: every verdict on evaluations that make it true, false and undecided;
negative controls on real untrained, swapped and shuffled runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rungs.claims import claims
from rungs.claims.core import Decision, StoredRun, decide
from rungs.claims.vq import CODES, LATENTS, dependence, share_used
from rungs.evaluation.run import Inputs, evaluate
from rungs.figures import vq_codebook, vq_reconstructions, vq_samples
from rungs.jobs.train import train
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.storage.result_file import Stored
from rungs.study import profile as configuration
from rungs.study.runs import Run
from rungs.study.settings import resolve
from rungs.tables import vq as table

CLAIMS = {claim.name: claim for claim in claims(["vq"])}
IMAGES, POSITIONS = 300, 49
SETTLED = np.full(100, -800.0)


def constructed(
    variant: str,
    *,
    lk: float = -800.0,
    used: int = CODES,
    lost: float = 500.0,
    norm: float = 2.0,
    kl: float = 100.0,
    noise: float = 0.5,
    seed: int = 0,
    elbo: np.ndarray = SETTLED,
) -> StoredRun:
    """A run whose evaluation has the given properties; images differ by many nats, in the same way
    for every run."""
    common = np.random.default_rng(0).normal(0, 150, IMAGES)
    own = np.random.default_rng([seed, *variant.encode()])
    axis, size = ("latent", LATENTS) if variant.startswith("conv") else ("codes", CODES)
    reconstruction = -700 + common
    arrays: dict[str, Any] = {
        "test/lk": lk + common + noise * own.normal(size=IMAGES),
        "test/reconstruction": reconstruction,
        "test/swapped": reconstruction - lost + 0.1 * own.normal(size=IMAGES),
    }
    if axis == "codes":
        arrays["test/codes"] = own.integers(0, used, (IMAGES, POSITIONS))
        arrays["test/encoder_square"] = norm**2 * own.uniform(0.9, 1.1, IMAGES)
        arrays["codebook"] = np.zeros((CODES, 4))
    else:
        arrays["test/kl"] = kl * own.uniform(0.9, 1.1, IMAGES)
    run = {
        "run": f"toy/{variant}/{axis}{size}/seed{seed}",
        "dataset": "toy",
        "variant": variant,
        "axis": axis,
        "size": size,
        "seed": seed,
    }
    path = Path(f"{variant}{seed}.h5")
    return StoredRun(Stored(path, {"elbo": elbo}, {}), Stored(path, arrays, {"run": run}))


def sweep(*norms: float) -> list[StoredRun]:
    variants = ("vq", "vq-nocommit", "vq-nocommit-slow", "vq-nocommit-slower")
    return [constructed(v, norm=norm) for v, norm in zip(variants, norms, strict=True)]


#: claim -> the runs that make it true, and sets of runs that make it false
CASES: dict[str, tuple[list[StoredRun], list[list[StoredRun]]]] = {
    "vq.1": (
        [constructed("vq-pixel", used=40), constructed("conv-vae-pixel", kl=0.1)],
        [
            [constructed("vq-pixel", used=20), constructed("conv-vae-pixel", kl=0.1)],
            [constructed("vq-pixel", used=40, lost=0.2), constructed("conv-vae-pixel", kl=0.1)],
            [constructed("vq-pixel", used=40), constructed("conv-vae-pixel", kl=5.0)],
        ],
    ),
    "vq.2": (
        sweep(2.0, 4.0, 8.0, 16.0),
        [sweep(2.0, 2.0, 8.0, 16.0), sweep(2.0, 16.0, 8.0, 4.0), sweep(2.0, 4.0, 8.0, 8.1)],
    ),
    "vq.3": (
        [constructed("vq", lk=-840.0), constructed("conv-vae", lk=-800.0)],
        [
            [constructed("vq", lk=-900.0), constructed("conv-vae", lk=-800.0)],
            # so much better is not within 10 % either
            [constructed("vq", lk=-700.0), constructed("conv-vae", lk=-800.0)],
        ],
    ),
}


def decided(name: str, runs: list[StoredRun], dataset: str = "toy") -> Decision:
    return decide(CLAIMS[name], dataset, runs)


def test_every_claim_of_the_contract_is_there() -> None:
    assert list(CLAIMS) == ["vq.1", "vq.2", "vq.3"] == list(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_true_false_and_undecided(name: str) -> None:
    true, false = CASES[name]
    found = decided(name, true)
    assert (found.verdict, found.basis) == ("reproduced", "these trained models only")
    for runs in false:
        assert decided(name, runs).verdict == "not reproduced"
    moving = Stored(Path("x"), {"elbo": np.linspace(-900, -700, 100)}, {})
    moved = decided(name, [StoredRun(moving, true[0].evaluation), *true[1:]])
    assert (moved.verdict, moved.basis.split(":")[0]) == ("undecided", "unconverged")
    lacking = decided(name, true[1:])
    assert lacking.verdict == "undecided"
    assert "lacks runs" in lacking.basis


def test_a_difference_within_the_noise_is_undecided() -> None:
    """The bits are 10 % apart to within what resampled images say."""
    runs = [constructed("vq", lk=-880.0, noise=40), constructed("conv-vae", lk=-800.0, noise=40)]
    found = decided("vq.3", runs)
    assert found.interval[0] < 0.1 < found.interval[1]
    assert found.verdict == "undecided"


def test_three_seeds_decide_by_students_t() -> None:
    runs = [
        constructed(variant, lk=lk + shift, seed=seed)
        for variant, lk in (("vq", -840.0), ("conv-vae", -800.0))
        for seed, shift in enumerate((0.0, 1.0, -1.0))
    ]
    found = decided("vq.3", runs)
    assert (found.basis, found.verdict) == ("3 seeds", "reproduced")
    assert found.measured == pytest.approx(0.05, abs=0.002)


def test_the_share_of_codes_is_that_of_the_images_drawn() -> None:
    arrays = {"test/codes": np.array([[0, 1], [0, 2], [3, 3]]), "codebook": np.zeros((8, 2))}
    evaluation = Stored(Path("x"), arrays, {})
    weights = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    np.testing.assert_allclose(share_used(evaluation, weights), [2 / 8, 3 / 8, 4 / 8])


# --- negative controls: real evaluations of broken runs ----------------------------------------

SETTINGS = {
    "samples": 4,
    "images": 150,
    "train_images": 50,
    "unit_samples": 2,
    "chunk_rows": 200,
}
SMALL = {
    "convolutional": {"channels": 4, "residual_blocks": 1, "residual_channels": 2, "components": 1},
    "pixelcnn": {"channels": 2, "layers": 1, "reach": 1},
}


@pytest.fixture(scope="module")
def real(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], StoredRun]:
    """Evaluations of small real models by name: ``trained`` for two epochs or ``untrained``."""
    config = configuration.load([ROOT / "config" / "quick.yaml"])
    cache: dict[tuple[str, str], Stored] = {}

    def run(variant: str, state: str) -> StoredRun:
        """The state's evaluation, passed off as a converged one."""
        key = (variant, state)
        if key not in cache:
            folder = tmp_path_factory.mktemp(f"{variant}-{state}")
            axis, size = ("latent", LATENTS) if "conv" in variant else ("codes", CODES)
            settings = resolve(config, Run("mnist5k", variant, size, 0, axis))
            settings["network"] |= SMALL
            # an untrained run: one epoch with a learning rate that changes nothing
            training = {"epochs": 2} if state == "trained" else {"epochs": 1}
            rate = {} if state == "trained" else {"learning_rate": 1e-12}
            settings["training"] |= training | rate
            train(settings, digits, folder, 5)
            evaluate(Inputs(folder, digits, SETTINGS))
            cache[key] = result_file.read(folder / "evaluation.h5")
        found = cache[key]
        return StoredRun(Stored(found.path, {"elbo": SETTLED}, {}), found)

    return run


def passed_off(run: StoredRun, variant: str) -> StoredRun:
    """A run's evaluation under another variant's name."""
    settings = run.evaluation.attributes["run"] | {"variant": variant}
    return StoredRun(
        run.training, Stored(run.evaluation.path, run.evaluation.arrays, {"run": settings})
    )


def test_vq1_on_an_untrained_decoder(real: Callable[[str, str], StoredRun]) -> None:
    """It hardly depends on its codes, and the continuous latents are not collapsed either."""
    runs = [real("vq-pixel", "untrained"), real("conv-vae-pixel", "untrained")]
    found = decided("vq.1", runs, "mnist5k")
    assert found.verdict != "reproduced", found
    assert np.isfinite(found.measured)


def test_vq1_on_shuffled_codes(real: Callable[[str, str], StoredRun]) -> None:
    """A decoder that is always given the codes of another image owes nothing to them."""
    run = real("vq-pixel", "trained")
    arrays = dict(run.evaluation.arrays)
    arrays["test/reconstruction"] = arrays["test/swapped"]
    shuffled = Stored(Path("shuffled"), arrays, run.evaluation.attributes)
    uniform = np.full((1, SETTINGS["images"]), 1 / SETTINGS["images"])
    assert float(dependence(run.evaluation, uniform)[0]) > 1
    runs = [StoredRun(run.training, shuffled), constructed("conv-vae-pixel", kl=0.1)]
    assert abs(float(dependence(shuffled, uniform)[0])) < 1e-3
    runs[1].evaluation.attributes["run"]["dataset"] = "mnist5k"
    clipped = {
        name: array[: SETTINGS["images"]] for name, array in runs[1].evaluation.arrays.items()
    }
    runs[1] = StoredRun(
        runs[1].training, Stored(Path("vae"), clipped, runs[1].evaluation.attributes)
    )
    assert decided("vq.1", runs, "mnist5k").verdict == "not reproduced"


def test_vq2_on_untrained_runs(real: Callable[[str, str], StoredRun]) -> None:
    """Before training the encoder's output is the same in all."""
    names = ("vq", "vq-nocommit", "vq-nocommit-slow", "vq-nocommit-slower")
    runs = [passed_off(real("vq", "untrained"), name) for name in names]
    found = decided("vq.2", runs, "mnist5k")
    assert found.verdict == "not reproduced"
    assert found.measured == pytest.approx(0)


def test_vq3_against_an_untrained_run(real: Callable[[str, str], StoredRun]) -> None:
    runs = [real("vq", "untrained"), real("conv-vae", "trained")]
    assert decided("vq.3", runs, "mnist5k").verdict == "not reproduced"


# --- table and figures --------------------------------------------------------------------------


@pytest.fixture
def files(real: Callable[[str, str], StoredRun], tmp_path: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {"training": [], "evaluation": []}
    for variant in ("vq", "conv-vae"):
        path = real(variant, "trained").evaluation.path
        found["evaluation"].append(path)
        found["training"].append(path.with_name("training.h5"))
    return found


def test_the_table(files: dict[str, list[Path]]) -> None:
    made = table.make(files)
    contract = "dataset variant codes code_dim compression reconstruction_mse codebook_loss"
    contract += " commitment_loss codes_used perplexity prior_nats_per_code bits_per_dim"
    assert set(contract.split()) <= set(made.columns)
    row, other = (made.iloc[i] for i in range(2))
    assert row["compression"] == pytest.approx(784 * 8 / (49 * 6))
    assert row["prior_nats_per_code"] == pytest.approx(math.log(64))  # uniform here
    evaluation = result_file.read(files["evaluation"][0])
    bits = -evaluation["test/lk"].mean() / (784 * math.log(2))
    assert row["bits_per_dim"] == pytest.approx(bits)
    pictures = [evaluation[f"pictures/{n}"] / 255 for n in ("originals", "reconstructions")]
    error = np.square(pictures[0] - pictures[1]).mean()
    assert row["reconstruction_mse"] == pytest.approx(error, rel=0.02)
    used = np.unique(evaluation["test/codes"])
    assert (row["codes_used"], 1 <= row["perplexity"] <= len(used)) == (len(used), True)
    assert math.isnan(other["codes"])
    # L_k is a tighter bound than the ELBO
    assert other["bits_per_dim"] < other["bits_per_dim_elbo"]
    assert list(table.make({"training": [], "evaluation": []}).columns) == list(made.columns)


def test_the_figures(files: dict[str, list[Path]]) -> None:
    settings = {"width": 7.0, "panel_height": 2.0, "images": 4}
    for module in (vq_reconstructions, vq_samples, vq_codebook):
        assert len(module.draw(files, settings).axes) >= 1
        assert module.draw({"training": [], "evaluation": []}, settings)
