"""Claims: every verdict on evaluations that make it true, false and undecided; negative controls
on real untrained or swapped runs; the coverage of each kind of interval by simulation."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rungs.claims import claims
from rungs.claims.core import (
    Decision,
    StoredRun,
    bootstrap,
    decide,
    judge,
    measure,
    t_interval,
)
from rungs.evaluation.run import Inputs, evaluate
from rungs.jobs.train import train
from rungs.storage import result_file
from rungs.storage.result_file import Stored
from rungs.tables import claims as claims_table

LADDER = {claim.name: claim for claim in claims(["ladder"])}
IMAGES = 400
SETTLED = np.full(100, -100.0)
UNITS = (8, 6, 4, 3, 2)


def constructed(
    variant: str,
    depth: int = 5,
    *,
    lk: float = -100.0,
    gap: float = 3.0,
    active: int = 0,
    accuracy: float = 0.5,
    seed: int = 0,
    elbo: np.ndarray = SETTLED,
    noise: float = 0.3,
) -> StoredRun:
    """A run whose evaluation has the given properties. Images differ from each other by several
    nats, in the same way for every run, as real ones do; ``noise`` is each run's own."""
    common = np.random.default_rng(0).normal(0, 20, IMAGES)
    own = np.random.default_rng([seed, depth, *variant.encode()])
    bound = lk + common + noise * own.normal(size=IMAGES)
    arrays: dict[str, Any] = {
        "test/lk": bound,
        "test/elbo": bound - gap + noise * own.normal(size=IMAGES),
    }
    left = active
    for layer in range(1, depth + 1):
        units = UNITS[layer - 1]
        used = units if layer < 3 else min(left, units)
        left -= used if layer >= 3 else 0
        kl = np.where(np.arange(units) < used, 0.5, 0.0) + 0.001 * own.normal(size=(IMAGES, units))
        arrays[f"layers/{layer}/image_kl"] = kl
        arrays[f"layers/{layer}/knn_correct"] = own.random(IMAGES) < accuracy
    run = {
        "run": f"toy/{variant}/depth{depth}/seed{seed}",
        "dataset": "toy",
        "variant": variant,
        "axis": "depth",
        "size": depth,
        "depth": depth,
        "network": {"latent_sizes": list(UNITS)},
        "seed": seed,
    }
    path = Path(f"{variant}{depth}{seed}.h5")
    return StoredRun(Stored(path, {"elbo": elbo}, {}), Stored(path, arrays, {"run": run}))


#: claim -> the runs that make it true and those that make it false
CASES: dict[str, tuple[list[StoredRun], list[StoredRun]]] = {
    "ladder.1": (
        [constructed("vae", 2, lk=-90.0), constructed("vae", 5, lk=-90.0)],
        [constructed("vae", 2, lk=-92.0), constructed("vae", 5, lk=-90.0)],
    ),
    "ladder.2": (
        [constructed("vae", lk=-92.0), constructed("vae-bn", lk=-90.0)],
        [constructed("vae", lk=-90.0), constructed("vae-bn", lk=-90.0)],
    ),
    "ladder.3": (
        [constructed("vae-bn", lk=-92.0), constructed("vae-bn-wu", lk=-90.0)],
        [constructed("vae-bn", lk=-90.0), constructed("vae-bn-wu", lk=-90.0)],
    ),
    "ladder.4": (
        [constructed("vae-bn-wu", lk=-90.0), constructed("lvae-bn-wu", lk=-90.0)],
        [constructed("vae-bn-wu", lk=-90.0), constructed("lvae-bn-wu", lk=-91.0)],
    ),
    "ladder.5": ([constructed("vae", active=1)], [constructed("vae", active=2)]),
    "ladder.6": (
        [
            constructed("vae", active=0),
            constructed("vae-bn-wu", active=3),
            constructed("lvae-bn-wu", active=4),
        ],
        [
            constructed("vae", active=3),
            constructed("vae-bn-wu", active=3),
            constructed("lvae-bn-wu", active=4),
        ],
    ),
    "ladder.7": (
        [constructed("vae", accuracy=0.2), constructed("lvae-bn-wu", accuracy=0.8)],
        [constructed("vae", accuracy=0.8), constructed("lvae-bn-wu", accuracy=0.2)],
    ),
    "ladder.8": (
        [constructed("vae-bn-wu", gap=5.0), constructed("lvae-bn-wu", gap=4.0)],
        [constructed("vae-bn-wu", gap=4.0), constructed("lvae-bn-wu", gap=5.0)],
    ),
}


def decided(name: str, runs: list[StoredRun]) -> Decision:
    return decide(LADDER[name], "toy", runs)


def test_every_claim_of_the_contract_is_there() -> None:
    assert list(LADDER) == [f"ladder.{i}" for i in range(1, 9)] == list(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_true_false_and_undecided(name: str) -> None:
    true, false = CASES[name]
    assert decided(name, true).verdict == "reproduced"
    assert decided(name, false).verdict == "not reproduced"
    assert decided(name, true).basis == "these trained models only"

    def unsettled(run: StoredRun) -> StoredRun:
        moving = Stored(run.training.path, {"elbo": np.linspace(-200, -100, 100)}, {})
        return StoredRun(moving, run.evaluation)

    moved = decided(name, [unsettled(true[0]), *true[1:]])
    assert (moved.verdict, moved.basis.split(":")[0]) == ("undecided", "unconverged")
    lacking = decided(name, true[1:])
    assert lacking.verdict == "undecided"
    assert "lacks runs" in lacking.basis
    assert decide(LADDER[name], "another", true).verdict == "undecided"


def test_a_difference_within_the_noise_is_undecided() -> None:
    runs = [constructed("vae", lk=-90.2, noise=5), constructed("vae-bn", lk=-90.0, noise=5)]
    found = decided("ladder.2", runs)
    assert found.interval[0] < 0.2 < found.interval[1]
    assert found.verdict == "undecided"


def test_three_seeds_decide_by_students_t() -> None:
    """The seeds' spread counts, not the images'."""
    runs = [
        constructed(variant, lk=base + shift, seed=seed)
        for variant, base, shifts in (
            ("vae", -92.0, (0.0, 0.1, -0.1)),
            ("vae-bn", -90.0, (0.1, -0.1, 0.0)),
        )
        for seed, shift in enumerate(shifts)
    ]
    found = decided("ladder.2", runs)
    assert found.basis == "3 seeds"
    differences = [
        float(np.mean(runs[3 + i].evaluation["test/lk"] - runs[i].evaluation["test/lk"]))
        for i in range(3)
    ]
    expected = stats.t.interval(0.95, 2, np.mean(differences), stats.sem(differences))
    assert found.interval == pytest.approx(expected)
    assert found.verdict == "reproduced"
    spread = [constructed("vae", seed=s, lk=-92.0) for s in range(3)] + [
        constructed("vae-bn", seed=s, lk=lk) for s, lk in enumerate((-80.0, -92.0, -95.0))
    ]
    assert decided("ladder.2", spread).verdict == "undecided"


def test_only_seeds_that_all_runs_have_are_used() -> None:
    runs = [
        constructed("vae", lk=-92.0, seed=0),
        constructed("vae", lk=-92.0, seed=1),
        constructed("vae-bn", seed=1),
    ]
    assert decided("ladder.2", runs).runs == ["toy/vae-bn/depth5/seed1", "toy/vae/depth5/seed1"]


def test_judging_at_the_threshold() -> None:
    assert judge((0.0, 1.0), "<=", 1) == "reproduced"
    assert judge((1.0, 1.0), "<", 1) == "not reproduced"
    assert judge((1.0, 2.0), "<=", 1) == "undecided"


# --- negative controls: real evaluations of broken runs ----------------------------------------

SETTINGS = {
    "samples": 10,
    "images": 200,
    "train_images": 400,
    "unit_samples": 4,
    "chunk_rows": 1000,
}


@pytest.fixture(scope="module")
def real(
    smoke_config: dict[str, Any], digits: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], StoredRun]:
    """Evaluations of small real models by name: ``trained`` for a few epochs or ``untrained``."""
    from rungs.study.runs import Run
    from rungs.study.settings import resolve

    cache: dict[tuple[str, str], Stored] = {}

    def evaluation(variant: str, state: str) -> Stored:
        key = (variant, state)
        if key not in cache:
            folder = tmp_path_factory.mktemp(f"{variant}-{state}")
            settings = resolve(smoke_config, Run("mnist5k", variant, 5, 0))
            # an untrained run: one epoch with a learning rate that changes nothing
            training = (
                {"epochs": 8} if state == "trained" else {"epochs": 1, "learning_rate": 1e-12}
            )
            settings["training"] |= training
            train(settings, digits, folder, 5)
            evaluate(Inputs(folder, digits, SETTINGS))
            cache[key] = result_file.read(folder / "evaluation.h5")
        return cache[key]

    def run(variant: str, state: str) -> StoredRun:
        """The state's evaluation, passed off as a converged one."""
        found = evaluation(variant, state)
        return StoredRun(Stored(found.path, {"elbo": SETTLED}, {}), found)

    return run


def passed_off(run: StoredRun, variant: str, depth: int = 5) -> StoredRun:
    """A run's evaluation under another run's name."""
    settings = run.evaluation.attributes["run"] | {"variant": variant, "size": depth}
    evaluation = Stored(run.evaluation.path, run.evaluation.arrays, {"run": settings})
    return StoredRun(run.training, evaluation)


CONTROLS: dict[str, dict[tuple[str, int], tuple[str, str]]] = {
    # depth 2 is an untrained run: the deep one is far better
    "ladder.1": {("vae", 5): ("vae", "trained"), ("vae", 2): ("vae", "untrained")},
    # the improved run is untrained
    "ladder.2": {("vae", 5): ("vae", "trained"), ("vae-bn", 5): ("vae-bn", "untrained")},
    "ladder.3": {("vae-bn", 5): ("vae-bn", "trained"), ("vae-bn-wu", 5): ("vae-bn", "untrained")},
    "ladder.4": {
        ("vae-bn-wu", 5): ("vae-bn", "trained"),
        ("lvae-bn-wu", 5): ("lvae-bn-wu", "untrained"),
    },
    # an untrained ladder, all of whose units are active
    "ladder.5": {("vae", 5): ("lvae-bn-wu", "untrained")},
    "ladder.6": {
        ("vae", 5): ("lvae-bn-wu", "untrained"),
        ("vae-bn-wu", 5): ("lvae-bn-wu", "untrained"),
        ("lvae-bn-wu", 5): ("lvae-bn-wu", "untrained"),
    },
    # the two are the same run
    "ladder.7": {
        ("vae", 5): ("lvae-bn-wu", "trained"),
        ("lvae-bn-wu", 5): ("lvae-bn-wu", "trained"),
    },
    "ladder.8": {
        ("vae-bn-wu", 5): ("vae-bn", "trained"),
        ("lvae-bn-wu", 5): ("lvae-bn-wu", "untrained"),
    },
}


@pytest.mark.parametrize("name", sorted(CONTROLS))
def test_negative_control(name: str, real: Callable[[str, str], StoredRun]) -> None:
    runs = [
        passed_off(real(*source), variant, depth)
        for (variant, depth), source in CONTROLS[name].items()
    ]
    found = decide(LADDER[name], "mnist5k", runs)
    assert found.verdict != "reproduced", found
    assert np.isfinite(found.measured)


def test_shuffled_labels_are_not_separated(real: Callable[[str, str], StoredRun]) -> None:
    """ladder.7 on accuracies of shuffled images: no difference is found."""
    run = real("lvae-bn-wu", "trained")
    order = np.random.default_rng(0).permutation(SETTINGS["images"])
    arrays = {
        name: array[order] if name.endswith("knn_correct") else array
        for name, array in run.evaluation.arrays.items()
    }
    shuffled = StoredRun(run.training, Stored(Path("shuffled"), arrays, run.evaluation.attributes))
    runs = [passed_off(shuffled, "vae"), passed_off(run, "lvae-bn-wu")]
    assert decide(LADDER["ladder.7"], "mnist5k", runs).verdict != "reproduced"


# --- coverage -----------------------------------------------------------------------------------


def mean_statistic(evaluations: Any, weights: np.ndarray) -> np.ndarray:
    return weights @ evaluations["run"]["test/lk"]


def covered(count: int, trials: int) -> bool:
    """Whether ``count`` hits of ``trials`` are consistent with at least 92 % coverage."""
    return bool(stats.binomtest(count, trials, 0.92, alternative="less").pvalue > 0.001)


def test_coverage_of_the_t_interval() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        low, high = t_interval(random.normal(1.0, 2.0, 3))
        hits += low < 1.0 < high
    assert hits / 1000 == pytest.approx(0.95, abs=0.021)


def test_coverage_of_the_paired_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Differences between two models over skewed images, 200 of them."""
    from rungs.claims import core

    monkeypatch.setattr(core, "RESAMPLES", 400)
    random = np.random.default_rng(1)
    hits, trials = 0, 400
    for _ in range(trials):
        difference = random.exponential(1.0, 200) - 1.0
        evaluation = Stored(Path("x"), {"test/lk": difference}, {})
        _, (low, high), _ = measure(mean_statistic, [{"run": evaluation}])
        hits += low < 0.0 < high
    assert covered(hits, trials), hits


def test_coverage_of_the_count_of_active_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units whose true KL is clearly on one side, and some near the threshold."""
    from rungs.claims import core
    from rungs.claims.ladder import higher_active

    monkeypatch.setattr(core, "RESAMPLES", 400)
    random = np.random.default_rng(2)
    true_kl = {3: [0.5, 0.02, 0.001], 4: [0.012, 0.0], 5: [0.008]}
    truth = sum(kl > 0.01 for layer in true_kl.values() for kl in layer)

    def statistic(evaluations: Any, weights: np.ndarray) -> np.ndarray:
        return higher_active(evaluations["run"], weights)

    hits, trials = 0, 200
    for _ in range(trials):
        arrays = {"test/lk": np.zeros(300)} | {
            f"layers/{i}/image_kl": np.array(kl) + random.normal(0, 0.03, (300, len(kl)))
            for i, kl in true_kl.items()
        }
        _, (low, high), _ = measure(statistic, [{"run": Stored(Path("x"), arrays, {})}])
        hits += low <= truth <= high
    assert covered(hits, trials), hits


def test_the_bootstrap_is_that_of_scipy() -> None:
    values = np.random.default_rng(3).exponential(1.0, 300)
    evaluation = Stored(Path("x"), {"test/lk": values}, {})
    found = np.quantile(bootstrap(mean_statistic, {"run": evaluation}, 300), [0.025, 0.975])
    reference = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    np.testing.assert_allclose(found, reference, atol=0.01)


def test_the_table(tmp_path: Path) -> None:
    files: dict[str, list[Path]] = {"training": [], "evaluation": []}
    for number, run in enumerate(CASES["ladder.2"][0]):
        for kind, stored in (("training", run.training), ("evaluation", run.evaluation)):
            path = tmp_path / f"{kind}{number}.h5"
            result_file.write(path, stored.arrays, stored.attributes)
            files[kind].append(path)
    table = claims_table.make(files)
    assert list(table.columns[:2]) == ["claim", "document"]
    assert set(table.columns) >= set("statement measured threshold interval verdict runs".split())  # noqa: SIM905
    verdicts = dict(zip(table["claim"], table["verdict"], strict=True))
    assert verdicts["ladder.2"] == "reproduced"
    assert verdicts["ladder.1"] == "undecided"
    table.to_csv(tmp_path / "claims.csv")
    assert len(list(csv.DictReader((tmp_path / "claims.csv").open()))) == len(claims())
