"""The mixture document's claims: verdicts on evaluations that make each true, false and undecided,
and negative controls on real untrained or swapped runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rungs.claims import claims
from rungs.claims.core import Decision, StoredRun, decide
from rungs.evaluation import classifier
from rungs.evaluation.run import Inputs, evaluate
from rungs.jobs.train import train
from rungs.storage import result_file
from rungs.storage.result_file import Stored
from rungs.study.runs import Run
from rungs.study.settings import resolve

MIXTURE = {claim.name: claim for claim in claims(["mixture"])}
IMAGES = 400
SETTLED = np.full(100, -100.0)


def constructed(
    variant: str,
    size: int = 10,
    *,
    lk: float = -100.0,
    noise: float = 0.3,
    confidence: float = 0.7,
    classes: int = 10,
    off: float = 0.0,
    components: float = 2.0,
    away: float = 0.0,
    seed: int = 0,
    elbo: np.ndarray = SETTLED,
) -> StoredRun:
    """A run whose evaluation has the given properties; ``away`` moves its samples' features."""
    common = np.random.default_rng(0).normal(0, 20, IMAGES)
    features = np.random.default_rng(1).normal(size=(IMAGES, 4))
    own = np.random.default_rng([seed, size, *variant.encode()])
    arrays: dict[str, Any] = {
        "test/lk": lk + common + noise * own.normal(size=IMAGES),
        "samples/confidence": (confidence + 0.1 * own.normal(size=IMAGES)).astype(np.float32),
        "test/labels": np.arange(IMAGES) % 10,
        "components/label": np.arange(100) % classes,
        "components/confidence": np.full(100, confidence, dtype=np.float32),
        "average/train": np.full(784, 0.2),
        "average/model": np.full(784, 0.2 + off),
        "posterior/components": components + 0.1 * own.normal(size=IMAGES),
        "frechet/test_features": features,
        "frechet/sample_features": own.normal(size=(IMAGES, 4)) + away,
    }
    run = {
        "run": f"cifar10-toy/{variant}/latent{size}/seed{seed}",
        "dataset": "cifar10-toy",
        "variant": variant,
        "axis": "latent",
        "size": size,
        "seed": seed,
    }
    path = Path(f"{variant}{size}{seed}.h5")
    return StoredRun(Stored(path, {"elbo": elbo}, {}), Stored(path, arrays, {"run": run}))


def two(new: float, old: float, variant: str = "mog", size: int = 10) -> list[StoredRun]:
    return [constructed(variant, size, lk=new), constructed("gauss", size, lk=old)]


def four(gauss_many: float, mog_many: float) -> list[StoredRun]:
    return [
        constructed("gauss", 10, away=0.5),
        constructed("mog", 10, away=0.5),
        constructed("gauss", 50, away=gauss_many),
        constructed("mog", 50, away=mog_many),
    ]


def three(both: float, prior: float, weighted: float) -> list[StoredRun]:
    named = {"mog-iw10": both, "mog": prior, "gauss-iw10": weighted}
    return [constructed(variant, lk=lk) for variant, lk in named.items()]


SAVED = 0.02 * 784 * np.log(2)
#: claim -> the runs that make it true, and several that make it false
CASES: dict[str, tuple[list[StoredRun], list[list[StoredRun]]]] = {
    "mixture.1": (two(-90, -92), [two(-90, -90), two(-92, -90)]),
    "mixture.2": (
        [constructed("mog", confidence=0.9), constructed("gauss", confidence=0.7)],
        [
            [constructed("mog", confidence=0.6), constructed("gauss", confidence=0.7)],
            # surer, but a class is missing
            [constructed("mog", confidence=0.9, classes=9), constructed("gauss")],
        ],
    ),
    "mixture.3": (
        [constructed("gauss", 0, off=0.005)],
        [[constructed("gauss", 0, off=0.02)], [constructed("gauss", 0, off=-0.02)]],
    ),
    "mixture.4": (
        two(-90.2, -90, "gauss-mixq"),
        [
            two(-91, -90, "gauss-mixq"),
            # as good, but one component does all
            [constructed("gauss-mixq", lk=-90, components=1.0), constructed("gauss", lk=-90)],
        ],
    ),
    "mixture.5": (two(-90, -90 - SAVED, size=64), [two(-90, -90, size=64)]),
    "mixture.6": (
        three(-90, -91, -92),
        [three(-91.5, -91, -92), three(-91.5, -92, -91), three(-93, -91, -92)],
    ),
    "mixture.7": (
        four(2.0, 1.0),
        # no worse, worse under the mixture, worse under both alike
        [four(0.2, 0.1), four(1.0, 2.0), four(0.0, 2.0)],
    ),
}


def decided(name: str, runs: list[StoredRun]) -> Decision:
    return decide(MIXTURE[name], "cifar10-toy", runs)


def test_every_claim_of_the_contract_is_there() -> None:
    assert list(MIXTURE) == [f"mixture.{i}" for i in range(1, 8)] == list(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_true_false_and_undecided(name: str) -> None:
    true, falses = CASES[name]
    assert decided(name, true).verdict == "reproduced", decided(name, true)
    assert decided(name, true).basis == "these trained models only"
    for false in falses:
        assert decided(name, false).verdict == "not reproduced", decided(name, false)

    def unsettled(run: StoredRun) -> StoredRun:
        moving = Stored(run.training.path, {"elbo": np.linspace(-200, -100, 100)}, {})
        return StoredRun(moving, run.evaluation)

    moved = decided(name, [unsettled(true[0]), *true[1:]])
    assert (moved.verdict, moved.basis.split(":")[0]) == ("undecided", "unconverged")
    lacking = decided(name, true[1:])
    assert lacking.verdict == "undecided"
    assert "lacks runs" in lacking.basis


@pytest.mark.parametrize("name", ["mixture.1", "mixture.5", "mixture.6", "mixture.7"])
def test_differences_within_the_noise_are_undecided(name: str) -> None:
    runs = {
        "mixture.1": [constructed("mog", lk=-89.8, noise=6), constructed("gauss", lk=-90, noise=6)],
        "mixture.5": [
            constructed("mog", 64, lk=-90 + SAVED / 2, noise=60),
            constructed("gauss", 64, noise=60, lk=-90),
        ],
        "mixture.6": [
            constructed(v, lk=lk, noise=6)
            for v, lk in (("mog-iw10", -89.9), ("mog", -90), ("gauss-iw10", -95))
        ],
        "mixture.7": four(0.52, 0.5),
    }[name]
    found = decided(name, runs)
    assert found.verdict == "undecided", found
    assert found.basis == "these trained models only"


# --- negative controls: real evaluations of broken runs ----------------------------------------

SETTINGS = {
    "samples": 10,
    "images": 200,
    "train_images": 200,
    "unit_samples": 4,
    "chunk_rows": 1000,
}


@pytest.fixture(scope="module")
def judge(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits' classifier, trained a fifth as long."""
    path = tmp_path_factory.mktemp("classifier") / "mnist5k-classifier.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "STEPS", 300)
        classifier.train(digits, path)
    return path


@pytest.fixture(scope="module")
def real(
    smoke_config: dict[str, Any],
    digits: Path,
    judge: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., StoredRun]:
    """Evaluations of small real models, ``trained`` for a few epochs or ``untrained``, passed off as
    a converged run of another name."""
    cache: dict[tuple[str, int, str], Stored] = {}

    def evaluation(variant: str, size: int, state: str) -> Stored:
        key = (variant, size, state)
        if key not in cache:
            folder = tmp_path_factory.mktemp(f"{variant}-{size}-{state}")
            run = Run("mnist5k", variant, size, 0, "latent")
            settings = resolve(smoke_config, run)
            settings["network"]["prior_components"] = 60
            training = (
                {"epochs": 8} if state == "trained" else {"epochs": 1, "learning_rate": 1e-12}
            )
            settings["training"] |= training
            train(settings, digits, folder, 5)
            evaluate(Inputs(folder, digits, SETTINGS, judge))
            cache[key] = result_file.read(folder / "evaluation.h5")
        return cache[key]

    def run(
        variant: str, state: str, size: int = 10, to: str | None = None, at: int | None = None
    ) -> StoredRun:
        found = evaluation(variant, size, state)
        settings = found.attributes["run"] | {
            "dataset": "cifar10-toy",
            "variant": to or variant,
            "size": size if at is None else at,
        }
        stored = Stored(found.path, found.arrays, {"run": settings})
        return StoredRun(Stored(found.path, {"elbo": SETTLED}, {}), stored)

    return run


def controls(name: str, real: Callable[..., StoredRun]) -> list[StoredRun]:
    """Runs on which the claim must not hold."""
    if name in ("mixture.1", "mixture.2"):
        return [real("mog", "untrained"), real("gauss", "trained")]
    if name == "mixture.3":
        return [real("gauss", "untrained", 0)]
    if name == "mixture.4":
        return [real("gauss-mixq", "untrained"), real("gauss", "trained")]
    if name == "mixture.5":
        return [real("mog", "untrained", at=64), real("gauss", "trained", at=64)]
    if name == "mixture.6":
        return [
            real("mog", "untrained", to="mog-iw10"),
            real("mog", "trained"),
            real("gauss", "trained", to="gauss-iw10"),
        ]
    # one and the same run four times
    return [real("gauss", "trained", to=v, at=n) for v in ("gauss", "mog") for n in (10, 50)]


@pytest.mark.parametrize("name", sorted(CASES))
def test_negative_control(name: str, real: Callable[..., StoredRun]) -> None:
    found = decided(name, controls(name, real))
    assert found.verdict != "reproduced", found
    assert np.isfinite(found.measured)


def test_a_mixture_posterior_whose_components_are_one_is_seen(
    real: Callable[..., StoredRun],
) -> None:
    """mixture.4 on a diagonal model passed off as one with a mixture posterior that is as good."""
    run = real("gauss", "trained", to="gauss-mixq")
    arrays = run.evaluation.arrays | {"posterior/components": np.ones(200)}
    alike = StoredRun(run.training, Stored(Path("x"), arrays, run.evaluation.attributes))
    assert decided("mixture.4", [alike, real("gauss", "trained")]).verdict == "not reproduced"


def test_the_classifier_knows_the_digits(judge: Path, digits: Path) -> None:
    from rungs.data.prepared import read_images
    from rungs.storage.tensors import load_tensors

    assert float(load_tensors(judge)[1]["accuracy"]) > 0.9
    found = classifier.Classifier.read(judge)
    import torch

    x = torch.from_numpy(read_images(digits, "test")).flatten(1).float() / 255
    assert found.features(x).shape == (1000, classifier.FEATURES)
    torch.testing.assert_close(found.probabilities(x).sum(1), torch.ones(1000))
