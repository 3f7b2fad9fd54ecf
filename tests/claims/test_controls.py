"""The positive and the negative control of every part of every claim, on evaluations that are made up.

On the positive control the statement holds exactly, over three seeds and with no drift; the part must be
reproduced. On the negative control the runs are untrained, exchanged or broken; the part must not be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np
import pytest
from made_runs import CLAIMS, PARTS, Arrays, Maker, decide_part, size_of
from scipy.special import ndtri

from rungs.evaluation.definitions import MOMENTS

Random = np.random.Generator
N = 400
#: images differ from each other by several nats, in the same way for every run, as real ones do
COMMON = np.random.default_rng(7).normal(0, 20, N)
COMMON -= COMMON.mean()
LABELS = np.arange(N) % 10


# --- arrays -------------------------------------------------------------------------------------


def bound(random: Random, lk: float, gap: float = 3.0) -> Arrays:
    """L_k and L_1 of images, on average ``lk`` and ``lk - gap`` but for a little of each seed's own."""
    own = 0.02 * random.normal()
    return {"test/lk": lk + own + COMMON, "test/elbo": lk + own - gap + COMMON}


def bounds(**lk: float) -> Maker:
    return lambda random: {name: bound(random, value) for name, value in lk.items()}


UNITS = (8, 6, 4, 3, 2)


def layers(random: Random, active: int, accuracy: float = 0.5) -> Arrays:
    """Five layers, of which those above the second have ``active`` active units, from below."""
    arrays: Arrays = {}
    left = active
    for layer, units in enumerate(UNITS, 1):
        used = units if layer < 3 else min(left, units)
        left -= used if layer >= 3 else 0
        kl = np.where(np.arange(units) < used, 0.5, 0.0)
        arrays[f"layers/{layer}/image_kl"] = kl + 0.001 * random.normal(size=(N, units))
        arrays[f"layers/{layer}/knn_correct"] = random.random(N) < accuracy
    return arrays


def activity(**active: int) -> Maker:
    return lambda random: {name: layers(random, count) for name, count in active.items()}


def classifiable(**accuracy: float) -> Maker:
    return lambda random: {name: layers(random, 0, share) for name, share in accuracy.items()}


FEATURES = np.random.default_rng(8).normal(size=(N, 4))


def moved(**shift: float) -> Arrays:
    """Features of samples, which are those of the test images moved by so much: their Frechet distance is
    four times the square of it."""
    arrays = {f"frechet/{name}_features": FEATURES[::-1] + by for name, by in shift.items()}
    return arrays | {"frechet/test_features": FEATURES}


def drawn(**shift: float) -> Maker:
    """Samples of several runs."""
    return lambda random: {
        name: moved(sample=by + 0.001 * random.normal()) for name, by in shift.items()
    }


def components(
    random: Random, weights: np.ndarray, confidence: float = 0.9, samples: float = 0.9
) -> Arrays:
    """Twenty components, two of each class."""
    return {
        "test/labels": LABELS,
        "components/label": np.arange(20) % 10,
        "components/weights": weights / weights.sum(),
        "components/confidence": np.full(20, confidence),
        "samples/confidence": np.full(N, samples) + 0.001 * random.normal(size=N),
    }


EVEN = np.ones(20)
#: a class has nearly all the weight
ONE_CLASS = np.where(np.arange(20) % 10 == 3, 50.0, 0.1)

PIXELS = np.linspace(0, 1, 64)


def lines(depth: float) -> Arrays:
    """Lines on which log p(z) first falls by ``depth`` below the lower end, or rises if it is negative."""
    along = np.linspace(0, 1, 51)
    ends = -5 - 2 * np.random.default_rng(10).random((100, 1))
    return {"lines/log_density": ends - depth * 4 * along * (1 - along)}


def moments(**column: float) -> Arrays:
    """Moments of ten active latents over the training images: S = 1 and mean 0, but for the first latent."""
    found = np.zeros((10, len(MOMENTS)))
    found[:, MOMENTS.index("second_moment_sum")] = 1
    for name, value in column.items():
        found[0, MOMENTS.index(name)] = value
    return {"layers/1/train_moments": found, "layers/1/kl": np.full(10, 0.5)}


def stationary(random: Random, r: float = 0.0) -> Arrays:
    """R of ten latents in twenty batches; its mean is ``r``, and single latents lie about it."""
    values = r + 0.01 * random.normal(size=(20, 10))
    values -= values.mean(0) - r
    values += np.linspace(-0.3, 0.3, 10)
    return {"stationarity/r": values}


def law(r: float = 0.0, **column: float) -> Maker:
    return lambda random: {"vae": moments(**column) | stationary(random, r)}


def posterior(spread: np.ndarray) -> Arrays:
    """Ten latents whose posterior means are those of ``spread``, of variance 0.9, each in its own order."""
    random = np.random.default_rng(11)
    values = np.sqrt(0.9) * spread / spread.std()
    return {
        "layers/1/kl": np.full(10, 0.5),
        "layers/1/posterior_mean": np.stack([random.permutation(values) for _ in range(10)], 1),
        "layers/1/posterior_variance": np.full((len(spread), 10), 0.1),
    }


MODES = np.where(np.arange(N) % 2, -1.0, 1.0)
#: one in twenty lies far out
TAILS = np.where(np.arange(N) % 20, 0.0, np.where(np.arange(N) % 40, -1.0, 1.0))
#: as many as it takes for no kurtosis to be off by chance
GAUSSIAN = ndtri((np.arange(40 * N) + 0.5) / (40 * N))


def rescaled(end: tuple[float, float]) -> Maker:
    """S of ten latents rescaled by 0.8 and 1.25, and after training on."""
    start = np.array([0.64, 1.5625])
    return lambda random: {
        "vae": moments()
        | {
            "rescaled/factors": np.array([0.8, 1.25], np.float32),
            "rescaled/start": np.tile(start[:, None], 10),
            "rescaled/end": np.tile(np.array(end)[:, None], 10)
            + 0.01 * random.normal(size=(2, 10)),
        }
    }


def pruned(units: int, inactive: int) -> Arrays:
    """Latents of which so many are inactive."""
    kl = np.where(np.arange(units) < inactive, 0.001, 0.5)
    return {"layers/1/kl": kl, "layers/1/image_kl": np.tile(kl, (N, 1))}


def growing(few: tuple[int, int], many: tuple[int, int]) -> Maker:
    return lambda random: {"few": pruned(*few), "many": pruned(*many)}


def samples_of(inactive: int = 20, **shift: float) -> Maker:
    return lambda random: {"vae": pruned(50, inactive) | moved(**shift)}


def correct(**share: float) -> Maker:
    """Twenty draws of labels: the share of the test images that each kind classifies rightly."""
    return lambda random: {
        "vae": {
            f"probe/10/correct/{kind}": random.random((20, N)) < right
            for kind, right in share.items()
        }
    }


def discrete(reconstruction: float = -600.0, swapped: float = -700.0, codes: int = 64) -> Arrays:
    return {
        "test/codes": np.zeros((N, 49), int),
        "codebook": np.zeros((codes, 4)),
        "test/reconstruction": reconstruction + COMMON,
        "test/swapped": swapped + COMMON,
    }


def norms(new: float, old: float) -> Maker:
    def make(random: Random) -> Mapping[str, Arrays]:
        noise = random.uniform(0.99, 1.01, N)
        return {
            name: {"test/encoder_square": norm**2 * noise}
            for name, norm in (("new", new), ("old", old))
        }

    return make


def pair(vq: Arrays, vae: Arrays) -> Maker:
    return lambda random: {"vq": vq, "vae": vae}


def of(name: str, arrays: Arrays) -> Maker:
    return lambda random: {name: arrays}


def squared(error: float) -> Arrays:
    return {"test/mse": np.full(N, error)}


def learnt(lk: float) -> Arrays:
    return {"test/lk": lk + COMMON, "prior/objective": np.zeros(3)}


# --- controls -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Control:
    """Evaluations on which a part holds, and on which it does not.

    Attributes:
        verdict: of the negative control; a part whose condition is not met is undecided.
        values: of the statistic on the two, computed by hand.
    """

    positive: Maker
    negative: Maker
    verdict: str = "not reproduced"
    values: tuple[float, float] = (math.nan, math.nan)


BETTER, WORSE = bounds(new=-90, old=-92), bounds(new=-200, old=-92)
MORE, FEWER = activity(new=5, old=0), activity(new=1, old=5)
CLEARER, BLURRED = drawn(new=1, old=2), drawn(new=2, old=1)
LAWFUL = law()
CONTROLS: dict[tuple[str, str], Control] = {
    ("ladder.1", "gain"): Control(
        bounds(new=-90, old=-90), bounds(new=-90, old=-200), values=(0, 110)
    ),
    ("ladder.2", "gain"): Control(BETTER, WORSE, values=(2, -108)),
    ("ladder.3", "gain"): Control(BETTER, WORSE, values=(2, -108)),
    ("ladder.4", "difference"): Control(bounds(new=-90, old=-90), WORSE, values=(0, -108)),
    ("ladder.5", "active units"): Control(activity(vae=0), activity(vae=9), values=(0, 9)),
    ("ladder.6", "LVAE+BN+WU"): Control(MORE, FEWER, values=(5, -4)),
    ("ladder.6", "VAE+BN+WU"): Control(MORE, FEWER, values=(5, -4)),
    ("ladder.7", "accuracy"): Control(
        classifiable(new=0.8, old=0.2), classifiable(new=0.2, old=0.8), values=(0.6, -0.6)
    ),
    ("ladder.8", "tightness"): Control(
        lambda random: {"new": bound(random, -89, 2), "old": bound(random, -90, 3)},
        lambda random: {"new": bound(random, -89, 3), "old": bound(random, -90, 2)},
        values=(1, -1),
    ),
    ("ladder.8", "fit"): Control(bounds(new=-90, old=-90), WORSE, "undecided", values=(0, -108)),
    ("mixture.1", "gain"): Control(BETTER, WORSE, values=(2, -108)),
    ("mixture.2", "classes"): Control(
        lambda random: {"mixture": components(random, EVEN)},
        lambda random: {"mixture": components(random, ONE_CLASS)},
        values=(0, 100 / 101.8 - 0.1),
    ),
    ("mixture.2", "confidence"): Control(
        lambda random: {"mixture": components(random, EVEN, 0.95, 0.8)},
        lambda random: {"mixture": components(random, EVEN, 0.5, 0.8)},
        values=(0.15, -0.3),
    ),
    ("mixture.3", "difference"): Control(
        of("model", {"average/model": PIXELS, "average/train": PIXELS}),
        of("model", {"average/model": np.full(64, 0.5), "average/train": PIXELS}),
        values=(0, 16 / 63),
    ),
    ("mixture.4", "difference"): Control(bounds(new=-90, old=-90), WORSE, values=(0, -108)),
    ("mixture.5", "bits saved"): Control(
        bounds(new=-9000, old=-9106),
        bounds(new=-9106, old=-9000),
        values=(106 / 3072 / log(2), -106 / 3072 / log(2)),
    ),
    ("mixture.6", "over the mixture prior alone"): Control(BETTER, WORSE, values=(2, -108)),
    ("mixture.6", "over importance weighting alone"): Control(BETTER, WORSE, values=(2, -108)),
    ("mixture.7", "samples"): Control(CLEARER, BLURRED, values=(75, -300)),
    ("mixture.8", "growth"): Control(
        drawn(gauss_few=1, gauss_many=2), drawn(gauss_few=2, gauss_many=1), values=(300, -75)
    ),
    ("mixture.8", "smaller growth"): Control(
        drawn(gauss_few=1, gauss_many=2, mog_few=1, mog_many=1),
        drawn(gauss_few=1, gauss_many=1, mog_few=1, mog_many=2),
        values=(300, -300),
    ),
    ("mixture.9", "components in use"): Control(
        of("model", {"posterior/components": np.full(N, 3.0)}),
        of("model", {"posterior/components": np.ones(N)}),
        values=(3, 1),
    ),
    ("mixture.10", "under the mixture"): Control(
        of("model", lines(9)), of("model", lines(-9)), values=(1, 0)
    ),
    ("mixture.10", "under the Gaussian"): Control(
        of("model", lines(-9)), of("model", lines(9)), values=(0, 9)
    ),
    ("mixture.11", "samples"): Control(CLEARER, BLURRED, values=(75, -300)),
    ("mixture.12", "components in use"): Control(
        of("model", {"posterior/components": np.full(N, 3.0)}),
        of("model", {"posterior/components": np.ones(N)}),
        values=(3, 1),
    ),
    ("vae.1", "likelihood"): Control(
        bounds(new=-90, old=-92), bounds(new=-92, old=-90), values=(2, -2)
    ),
    ("vae.1", "samples"): Control(CLEARER, BLURRED, values=(75, -300)),
    ("vae.2", "few latents"): Control(
        drawn(plain=2, vae=1), drawn(plain=1, vae=2), values=(300, -75)
    ),
    ("vae.2", "many latents"): Control(
        drawn(plain=2, vae=1), drawn(plain=1, vae=2), values=(300, -75)
    ),
    ("vae.3", "frozen"): Control(
        correct(encoder=0.9, grey=0.8), correct(encoder=0.5, grey=0.8), values=(0.1, -0.3)
    ),
    ("vae.3", "fine-tuned"): Control(
        correct(finetuned=0.9, random=0.8), correct(finetuned=0.7, random=0.8), values=(0.1, -0.1)
    ),
    ("moments.1", "deviation"): Control(LAWFUL, law(second_moment_sum=1.3), values=(0, 0.3)),
    ("moments.1", "stationarity"): Control(LAWFUL, law(r=-0.3), "undecided", values=(0, -0.3)),
    ("moments.2", "mean"): Control(LAWFUL, law(mean=-0.3), values=(0, 0.3)),
    ("moments.2", "stationarity"): Control(LAWFUL, law(r=-0.3), "undecided", values=(0, -0.3)),
    ("moments.3", "kurtosis"): Control(
        of("vae", posterior(MODES)), of("vae", posterior(GAUSSIAN)), values=(1.62, 0)
    ),
    ("moments.4", "scaled by 0.8"): Control(
        rescaled((1, 1)), rescaled((0.64, 1)), values=(0.98, 0)
    ),
    ("moments.4", "scaled by 1.25"): Control(
        rescaled((1, 1)), rescaled((1, 1.5625)), values=(0.99, 0)
    ),
    ("moments.5", "first step"): Control(
        growing((10, 0), (20, 5)), growing((10, 5), (20, 5)), values=(0.25, -0.25)
    ),
    ("moments.5", "second step"): Control(
        growing((20, 5), (50, 30)), growing((20, 15), (50, 30)), values=(0.35, -0.15)
    ),
    ("moments.6", "removed"): Control(
        samples_of(sample=2, fitted=1.2, reconstruction=1),
        samples_of(sample=2, fitted=2, reconstruction=1),
        values=(10.24 / 12, 0),
    ),
    ("moments.6", "excess"): Control(
        samples_of(sample=2, fitted=1.2, reconstruction=1),
        samples_of(sample=2, fitted=1.9, reconstruction=1.95),
        "undecided",
        values=(300, 400 / 1.95**2 - 100),
    ),
    ("moments.7", "change"): Control(
        samples_of(sample=2, fitted=1, active=2),
        samples_of(sample=2, fitted=1, active=0.3),
        values=(0, 15.64 / 12),
    ),
    ("moments.7", "overpruning"): Control(
        samples_of(sample=2, fitted=1, active=2),
        samples_of(0, sample=2, fitted=1, active=2),
        "undecided",
        values=(20, 0),
    ),
    ("moments.8", "deviation"): Control(LAWFUL, law(second_moment_sum=0.7), values=(0, 0.3)),
    ("vq.1", "VQ-VAE"): Control(
        of("vq", discrete()), of("vq", discrete(swapped=-600.0)), values=(100 / 6, 0)
    ),
    ("vq.1", "continuous VAE"): Control(
        of("vae", {"test/kl": np.full(N, 0.1)}),
        of("vae", {"test/kl": np.full(N, 20.0)}),
        values=(0.1, 20),
    ),
    ("vq.2", "full speed"): Control(
        norms(new=4, old=2), norms(new=2, old=4), values=(log(2), -log(2))
    ),
    ("vq.2", "a tenth"): Control(
        norms(new=4, old=2), norms(new=2, old=4), values=(log(2), -log(2))
    ),
    ("vq.2", "a hundredth"): Control(
        norms(new=4, old=2), norms(new=2, old=4), values=(log(2), -log(2))
    ),
    ("vq.3", "excess"): Control(
        pair(discrete(-600), {"test/elbo": -800 + COMMON}),
        pair(discrete(-900), {"test/elbo": -800 + COMMON}),
        values=((49 * log(64) - 200) / 8, (49 * log(64) + 100) / 8),
    ),
    ("vq.4", "compression"): Control(
        of("vq", discrete()), of("vq", discrete(codes=256)), values=(64 / 3, 16)
    ),
    ("vq.4", "quality"): Control(
        pair(squared(0.01), squared(0.01)), pair(squared(0.03), squared(0.01)), values=(1, 3)
    ),
    ("vq.5", "excess"): Control(
        pair(learnt(-800), {"test/lk": -800 + COMMON}),
        pair(learnt(-1000), {"test/lk": -800 + COMMON}),
        values=(0, 25),
    ),
}
#: what a run's attributes say of its images, where a statistic reads it
SHAPES = {"mixture.5": (32, 32, 3)}


def close(value: float) -> Any:
    """Allow for the seeds' noise in made evaluations."""
    return pytest.approx(value, rel=0.005, abs=0.02)


def test_every_part_has_controls() -> None:
    assert set(CONTROLS) == set(PARTS)


def test_steps_of_the_dimension_follow_each_other() -> None:
    for step, sizes in (("first step", (10, 20)), ("second step", (20, 50))):
        needs = PARTS["moments.5", step].needs
        assert (size_of(needs["few"]), size_of(needs["many"])) == sizes


@pytest.mark.parametrize("name", CONTROLS, ids=" ".join)
def test_positive_control(name: tuple[str, str]) -> None:
    found = decide_part(name, CONTROLS[name].positive, shape=SHAPES.get(name[0], (28, 28)))
    assert found.verdict == "reproduced", found
    assert (found.basis, found.leaning) == ("3 seeds", "")
    assert found.measured.value == close(CONTROLS[name].values[0])


@pytest.mark.parametrize("name", CONTROLS, ids=" ".join)
def test_negative_control(name: tuple[str, str]) -> None:
    control = CONTROLS[name]
    found = decide_part(name, control.negative, shape=SHAPES.get(name[0], (28, 28)))
    assert found.verdict == control.verdict, found
    assert found.measured.value == close(control.values[1])


@pytest.mark.parametrize("name", CONTROLS, ids=" ".join)
def test_the_controls_notice_a_broken_statistic(
    name: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, part = CLAIMS[name[0]], PARTS[name]

    def halved(evaluations: Any, resampling: Any) -> np.ndarray:
        return 0.5 * np.asarray(part.statistic(evaluations, resampling))

    def controls() -> None:
        test_positive_control(name)
        test_negative_control(name)

    broken = replace(part, statistic=halved)
    others = tuple(broken if other is part else other for other in claim.parts)
    monkeypatch.setitem(PARTS, name, broken)
    monkeypatch.setitem(CLAIMS, name[0], replace(claim, parts=others))
    with pytest.raises(AssertionError):
        controls()


@pytest.mark.parametrize(
    ("name", "maker", "value"),
    [
        (("moments.1", "deviation"), law(second_moment_sum=0.7), 0.3),
        (("moments.2", "mean"), law(mean=0.3), 0.3),
        (("moments.3", "kurtosis"), of("vae", posterior(TAILS)), 13.77),
        (("moments.8", "deviation"), law(second_moment_sum=1.3), 0.3),
        (
            ("mixture.3", "difference"),
            of("model", {"average/model": np.ones(64), "average/train": PIXELS}),
            0.5,
        ),
    ],
)
def test_deviations_count_on_either_side(name: tuple[str, str], maker: Maker, value: float) -> None:
    assert decide_part(name, maker).measured.value == close(value)


@pytest.mark.parametrize("name", CONTROLS, ids=" ".join)
def test_one_seed_leans_and_decides_nothing(name: tuple[str, str]) -> None:
    control = CONTROLS[name]
    for maker, leaning in ((control.positive, "for"), (control.negative, "against")):
        found = decide_part(name, maker, [0], shape=SHAPES.get(name[0], (28, 28)))
        assert found.verdict == "undecided"
        assert found.basis.startswith("1 seed")
        assert found.leaning == leaning, found


@pytest.mark.parametrize("name", ["ladder.8", "moments.1", "moments.2", "moments.6", "moments.7"])
def test_nothing_is_decided_where_the_condition_is_not_met(name: str) -> None:
    """Even where the part itself would fail or hold."""
    (condition,) = [key for key in PARTS if key[0] == name and PARTS[key].condition]
    (part,) = [key for key in PARTS if key[0] == name and not PARTS[key].condition]
    found = decide_part(part, CONTROLS[condition].negative)
    assert found.verdict == "undecided"
    assert f"not testable without {condition[1]}" in found.basis
    assert decide_part(condition, CONTROLS[condition].negative).basis.endswith("is not met")
