"""The aggregate posterior: closed forms against quadrature, sampling and brute force in float64."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, special, stats

from rungs.evaluation.aggregate import Components, aggregate_arrays, components
from rungs.evaluation.definitions import MOMENTS, POSTERIOR_KINDS
from rungs.evaluation.latent_space import FACTORS, lattice, plane_arrays, rescaled_arrays
from rungs.evaluation.moments import (
    cdf,
    density,
    fixed_ratio_kl,
    kolmogorov_smirnov,
    moments,
    quantile,
    resampled_moments,
    scaling_rise,
)
from rungs.evaluation.run import load_model
from rungs.evaluation.splits import Split
from rungs.figures.latent_scatter import ellipse
from rungs.jobs.train import train
from rungs.models import build
from rungs.models.networks import initialise
from rungs.models.protocol import draw_noise
from rungs.probability.gaussian import DiagonalGaussian, standard_gaussian_like


def mixture(n: int, latents: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, variances and weights of skewed mixtures."""
    random = np.random.default_rng(seed)
    mean = random.exponential(1.0, (n, latents)) * random.choice([-1, 0.5], (n, latents))
    variance = np.exp(random.normal(-1.5, 0.8, (n, latents)))
    weights = random.random(n) + 0.1
    return mean, variance, weights / weights.sum()


@pytest.mark.parametrize("weighted", [False, True])
def test_moments_are_those_of_quadrature(weighted: bool) -> None:
    mean, variance, weights = mixture(7, 3)
    share = weights if weighted else None
    found = moments(mean, variance, share)
    for u in range(3):
        components_ = mean[:, u], variance[:, u], share
        low, high = mean[:, u].min() - 9 * 3, mean[:, u].max() + 9 * 3

        def integral(f: Callable[[float], float], own: Any = components_) -> float:
            value: float = integrate.quad(
                lambda z: f(z) * density(np.array([z]), *own)[0],
                low,  # noqa: B023
                high,  # noqa: B023
                limit=500,
                points=[-1, 0, 1],
            )[0]
            return value

        assert integral(lambda z: 1.0) == pytest.approx(1, abs=1e-7)
        centre = integral(lambda z: z)
        central = [integral(lambda z, k=k, c=centre: (z - c) ** k) for k in (2, 3, 4)]
        assert found.mean[u] == pytest.approx(centre, abs=1e-7)
        assert found.variance[u] == pytest.approx(central[0], rel=1e-6)
        assert found.skewness[u] == pytest.approx(central[1] / central[0] ** 1.5, rel=1e-5)
        assert found.kurtosis[u] == pytest.approx(central[2] / central[0] ** 2, rel=1e-5)


def test_moments_are_those_of_samples_within_their_error() -> None:
    """40 batches of samples give the error; and a wrong formula (without 6 d^2 s) is seen."""
    mean, variance, weights = mixture(50, 2)
    found = moments(mean, variance, weights)
    random = np.random.default_rng(1)
    batches: list[list[np.ndarray]] = [[], [], [], []]
    for _ in range(40):
        chosen = random.choice(50, 20_000, p=weights)
        z = random.normal(mean[chosen], np.sqrt(variance[chosen]))
        for kept, value in zip(
            batches,
            (z.mean(0), z.var(0), stats.skew(z), stats.kurtosis(z, fisher=False)),
            strict=True,
        ):
            kept.append(value)
    for kept, exact in zip(
        batches, (found.mean, found.variance, found.skewness, found.kurtosis), strict=True
    ):
        average, error = np.mean(kept, 0), stats.sem(kept)
        assert np.all(np.abs(average - exact) < 4.5 * error + 2e-4), (average, exact, error)
    d = mean - found.mean
    wrong = weights @ (d**4 + 3 * variance**2) / found.variance**2
    assert np.all(np.abs(np.mean(batches[3], 0) - wrong) > 10 * stats.sem(batches[3]))


def test_float32_input_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against brute force in float64, from the stored float32, whatever the chunk."""
    from rungs.evaluation import moments as module

    mean, variance, _ = (array.astype(np.float32) for array in mixture(1000, 4))
    m, v = mean.astype(np.float64), variance.astype(np.float64)
    d = m - m.mean(0)
    second = (d**2 + v).mean(0)
    kurtosis = (d**4 + 6 * d**2 * v + 3 * v**2).mean(0) / second**2
    for chunk in (7, 1000, 8192):
        monkeypatch.setattr(module, "CHUNK", chunk)
        found = moments(mean, variance)
        np.testing.assert_allclose(found.mean, m.mean(0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.variance, second, rtol=1e-12)
        np.testing.assert_allclose(found.kurtosis, kurtosis, rtol=1e-12)


def test_resampling_is_weighting() -> None:
    mean, variance, weights = mixture(60, 3)
    rows = np.stack([weights, np.full(60, 1 / 60), np.random.default_rng(2).dirichlet(np.ones(60))])
    found = resampled_moments(mean, variance, rows)
    for i, row in enumerate(rows):
        expected = moments(mean, variance, row)
        for name in ("mean", "variance_of_mean", "mean_variance", "skewness", "kurtosis"):
            np.testing.assert_allclose(
                getattr(found, name)[i], getattr(expected, name), rtol=1e-9, atol=1e-12
            )


def test_cdf_and_quantiles_invert_each_other() -> None:
    mean, variance, weights = mixture(200, 1)
    own = mean[:, 0], variance[:, 0], weights
    probabilities = np.array([1e-4, 0.02, 0.5, 0.9, 0.999])
    found = quantile(probabilities, *own)
    np.testing.assert_allclose(cdf(found, *own), probabilities, atol=1e-6)
    for z, probability in zip(found, probabilities, strict=True):
        reference = optimize.brentq(
            lambda t, p=probability: (
                float(weights @ stats.norm.cdf((t - own[0]) / own[1] ** 0.5)) - p
            ),
            -60,
            60,
        )
        assert z == pytest.approx(reference, abs=2e-6)
    slope = (cdf(found + 1e-4, *own) - cdf(found - 1e-4, *own)) / 2e-4
    np.testing.assert_allclose(density(found, *own), slope, rtol=1e-3)


def brute_force(mean: np.ndarray, variance: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The distance of one latent's cdf from N(0, 1) on a lattice of 60,001 points."""
    z = np.linspace(-8, 8, 60_001)
    return float(np.abs(cdf(z, mean, variance, weights) - special.ndtr(z)).max())


@given(
    seed=st.integers(0, 10_000),
    spread=st.floats(0, 2),
    narrow=st.floats(-4, 0),
    shift=st.floats(-1, 1),
)
def test_the_distance_is_that_of_brute_force(
    seed: int, spread: float, narrow: float, shift: float
) -> None:
    """Inactive latents, narrow posteriors, shifted ones: within the stated bound."""
    random = np.random.default_rng(seed)
    mean = (shift + spread * random.normal(size=(40, 2))).astype(np.float32)
    variance = np.exp(narrow + 0.5 * random.normal(size=(40, 2))).astype(np.float32)
    weights = random.dirichlet(np.ones(40))
    found, error = kolmogorov_smirnov(mean, variance, weights)
    assert error.max() < 5e-4
    for u in range(2):
        assert abs(found[u] - brute_force(mean[:, u], variance[:, u], weights)) <= error[u] + 1e-7


def test_the_distance_of_points_is_scipys() -> None:
    points = np.random.default_rng(3).normal(0.1, 1.2, (500, 2))
    found, error = kolmogorov_smirnov(points, np.zeros((500, 2)))
    for u in range(2):
        assert found[u] == pytest.approx(stats.kstest(points[:, u], "norm").statistic, abs=1e-12)
    assert not error.any()
    assert kolmogorov_smirnov(np.zeros((5, 0)), np.zeros((5, 0)))[0].shape == (0,)


def test_a_standard_gaussian_has_no_distance() -> None:
    found, error = kolmogorov_smirnov(np.zeros((100, 1)), np.ones((100, 1)))
    assert found[0] <= error[0] < 2e-4


def test_sixty_thousand_images_take_seconds_and_little_memory() -> None:
    """Moments and distances of 60,000 x 64 in under 5 s of one core, in some tens of megabytes."""
    random = np.random.default_rng(4)
    scale = np.linspace(0, 1, 64, dtype=np.float32)
    mean = scale * random.standard_normal((60_000, 64), dtype=np.float32)
    variance = (1 - 0.98 * scale**2) * np.exp(
        0.3 * random.standard_normal((60_000, 64), dtype=np.float32)
    )
    started = time.process_time()
    summary = Components(mean, variance, None, "exact").summary()
    assert time.process_time() - started < 5
    assert summary.shape == (64, len(MOMENTS))
    assert summary[:, MOMENTS.index("ks_error")].max() < 3e-4
    for u in (3, 63):
        z = np.linspace(-4, 4, 161)
        gap = np.abs(cdf(z, mean[:, u], variance[:, u]) - special.ndtr(z)).max()
        assert summary[u, MOMENTS.index("ks_statistic")] == pytest.approx(gap, abs=6e-4)
    tracemalloc.start()
    Components(mean, variance, None, "exact").summary()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120e6, peak


# --- KL at a fixed ratio ------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.05, 0.3, 1.0, 4.0])
def test_the_minimum_at_a_fixed_ratio_is_scipys(ratio: float) -> None:
    def kl(variance: float) -> float:
        gaussian = DiagonalGaussian(
            torch.tensor([variance**0.5 / ratio], dtype=torch.float64),
            torch.tensor([variance], dtype=torch.float64),
        )
        value = float(gaussian.divergence(standard_gaussian_like(gaussian.mean)))
        assert float(fixed_ratio_kl(np.array(variance), ratio)) == pytest.approx(value, abs=1e-12)
        return value

    found = optimize.minimize_scalar(
        kl, bounds=(1e-6, 3), method="bounded", options={"xatol": 1e-9}
    )
    assert found.x == pytest.approx(ratio**2 / (1 + ratio**2), rel=1e-4)
    assert found.x + found.x / ratio**2 == pytest.approx(1, rel=1e-4)


def test_the_rise_by_scaling_is_the_measured_one() -> None:
    mean, variance, _ = mixture(300, 4)
    before = DiagonalGaussian(torch.from_numpy(mean), torch.from_numpy(variance))
    for factor in (0.5, 0.8, 1.25, 2.0):
        after = DiagonalGaussian(factor * before.mean, factor**2 * before.variance)
        standard = standard_gaussian_like(before.mean)
        rise = (after.divergence(standard) - before.divergence(standard)).mean(0).numpy()
        np.testing.assert_allclose(scaling_rise((mean**2 + variance).mean(0), factor), rise)


# --- models -------------------------------------------------------------------------------------

SINGLE: dict[str, Any] = {
    "prior": "gaussian",
    "prior_components": 3,
    "posterior": "diagonal",
    "posterior_components": 3,
    "likelihood": "bernoulli",
    "divergence": "analytic",
}


def built(model: str, depth: int, **network: Any) -> Any:
    sizes = {"latent_sizes": [6, 4, 3][:depth], "hidden_sizes": [16, 12, 8][:depth]}
    made: Any = build(model, 30, {**sizes, "batch_norm": False, **network})
    initialise(made, torch.Generator().manual_seed(5))
    return made.eval()


@pytest.mark.parametrize(
    ("model", "depth", "network", "kinds"),
    [
        ("vae", 1, {}, ["exact"]),
        ("vae", 3, {}, ["exact", "points", "conditional"]),
        (
            "lvae",
            3,
            {"upward": "mu", "share_top_down": True},
            ["conditional", "conditional", "exact"],
        ),
        ("single", 1, SINGLE, ["exact"]),
        ("single", 1, SINGLE | {"posterior": "full"}, ["exact"]),
        ("single", 1, SINGLE | {"posterior": "mixture"}, ["exact"]),
        ("single", 1, SINGLE | {"prior": "mixture"}, ["exact"]),
    ],
)
def test_what_is_exact(model: str, depth: int, network: dict[str, Any], kinds: list[str]) -> None:
    """Every layer's moments against those of many standardised samples of the same model."""
    made = built(model, depth, **network)
    x = torch.rand(400, 30, generator=torch.Generator().manual_seed(6)).round()
    arrays = aggregate_arrays(made, 0, x, x, rows=150)
    assert [
        POSTERIOR_KINDS[int(arrays[f"layers/{i}/posterior_kind"])] for i in range(1, depth + 1)
    ] == kinds
    random = torch.Generator().manual_seed(7)
    noise = draw_noise(getattr(made, "noise_sizes", made.latent_sizes), 300, 400, generator=random)
    with torch.no_grad():
        layers = made.draw(made.encode(x), noise)
    for i, (layer, kind) in enumerate(zip(layers, kinds, strict=True), 1):
        z = layer.sample
        if kind != "exact":
            z = (z - layer.prior.mean) / layer.prior.variance.sqrt()
        z = z.flatten(0, 1).numpy()
        found = dict(zip(MOMENTS, arrays[f"layers/{i}/test_moments"].T, strict=True))
        # one draw an image of the layers between has an error; what is exact has none but the samples'
        loose = 1 if kind == "exact" else 8
        np.testing.assert_allclose(found["mean"], z.mean(0), atol=0.012 * loose)
        np.testing.assert_allclose(found["second_moment_sum"], z.var(0), rtol=0.02 * loose)
        if kind == "exact":
            np.testing.assert_allclose(
                found["kurtosis"], stats.kurtosis(z, fisher=False), rtol=0.05
            )
            distance = [stats.kstest(z[:, u], "norm").statistic for u in range(z.shape[1])]
            np.testing.assert_allclose(found["ks_statistic"], distance, atol=0.006)


def test_a_mixture_posterior_counts_every_component() -> None:
    made = built("single", 1, **(SINGLE | {"posterior": "mixture"}))
    x = torch.rand(50, 30, generator=torch.Generator().manual_seed(8)).round()
    (found,) = components(made, x, torch.Generator().manual_seed(0), 20)
    assert found.mean.shape == (50, 3, 6)
    assert found.weight is not None
    assert found.weight.shape == (50, 3)
    posterior = made.posterior(x)
    np.testing.assert_allclose(
        found.summary()[:, 0], posterior.mean.detach().mean(0).numpy(), atol=1e-6
    )


@pytest.fixture(scope="module")
def trained(
    digits: Path, smoke_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Split]:
    """A VAE with four latents after 15 epochs, and test images."""
    from rungs.study.runs import Run
    from rungs.study.settings import resolve

    spec = resolve(smoke_config, Run("mnist5k", "gauss", 4, 0, "latent"))
    spec["training"] |= {"epochs": 15}
    folder = tmp_path_factory.mktemp("trained")
    train(spec, digits, folder, 5)
    return load_model(folder)[0], Split.read(digits, "test", 300)


def test_the_next_layer_undoes_a_rescaled_latent(trained: tuple[Any, Split]) -> None:
    """The reconstruction of a trained model stays, its KL rises (slide 17 and 18)."""
    model, test = trained
    before = {name: p.clone() for name, p in model.named_parameters()}
    arrays = rescaled_arrays(model, test.x, 0, 100)
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]), "the model itself stays as it is"
    own = FACTORS.index(1.0)
    reconstruction, kl = arrays["rescale/reconstruction"], arrays["rescale/image_kl"].mean(1)
    assert np.abs(reconstruction - reconstruction[own]).max() < 2e-3
    assert np.abs(reconstruction[own]).mean() > 50
    posterior = model.posterior(test.x)
    second = (posterior.mean.square() + posterior.variance).mean(0).detach().double().numpy()
    for i, factor in enumerate(FACTORS):
        np.testing.assert_allclose(
            kl[i] - kl[own], scaling_rise(second, factor), atol=2e-5 * max(1, factor**2 * 5)
        )
        if factor in (0.5, 2.0):  # 15 epochs have brought the second moments near 1, not to it
            assert np.all(kl[i] > kl[own])


def test_a_latent_that_the_decoder_does_not_undo_changes_the_picture(
    trained: tuple[Any, Split],
) -> None:
    """The control: scaling alone is seen in the reconstruction."""
    model, test = trained
    with torch.no_grad():
        mean = model.posterior(test.x).mean
        kept, scaled = (model.log_likelihood(test.x, f * mean) for f in (1.0, 2.0))
    assert float((kept - scaled).abs().mean()) > 1


def test_the_lattice_has_the_priors_quantiles() -> None:
    found = lattice(20)
    np.testing.assert_allclose(stats.norm.cdf(found), (np.arange(20) + 0.5) / 20, atol=1e-12)
    np.testing.assert_allclose(found, -found[::-1], atol=1e-12)


def test_the_lattice_is_decoded_where_it_says() -> None:
    """Top right is high on both axes; a row of a traversal moves its own latent."""
    made = built("single", 1, **SINGLE | {"latent_sizes": [2]})
    arrays = plane_arrays(made, torch.tensor([0.3, -0.2]))
    axis = torch.from_numpy(lattice(20)).float()
    for row, column in ((0, 19), (4, 7)):
        z = torch.stack([axis[column], axis[19 - row]])
        expected = (255 * made.decode(z)).round().byte().numpy()
        np.testing.assert_array_equal(arrays["manifold/pictures"][row, column], expected)
    z = torch.tensor([0.3, float(arrays["traversal/values"][2])])
    expected = (255 * made.decode(z)).round().byte().numpy()
    np.testing.assert_array_equal(arrays["traversal/pictures"][1, 2], expected)
    np.testing.assert_allclose(
        stats.norm.cdf(arrays["traversal/values"][[0, -1]]), [0.01, 0.99], atol=1e-6
    )


def test_ellipses_are_of_one_sigma() -> None:
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    width, height, degrees = ellipse(turn @ np.diag([0.09, 0.01]) @ turn.T)
    assert (width, height) == (pytest.approx(0.3), pytest.approx(0.1))
    assert degrees == pytest.approx(np.degrees(angle))
