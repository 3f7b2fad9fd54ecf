"""The aggregate posterior of models against samples, and its cost in time and memory."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats

from dense_models import SINGLE, built
from rungs.evaluation.aggregate import Components, aggregate_arrays, components
from rungs.evaluation.definitions import MOMENTS, POSTERIOR_KINDS
from rungs.evaluation.materials import Materials
from rungs.evaluation.moments import cdf
from rungs.evaluation.splits import chosen
from rungs.models.protocol import draw_noise


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
    with (
        torch.no_grad()
    ):  # initial weights spread the standardised samples of a hierarchy over tens
        for parameter in made.parameters():
            parameter *= 0.7
    x = torch.rand(400, 30, generator=torch.Generator().manual_seed(6)).round()
    arrays = aggregate_arrays(made, 0, x, x, x, rows=150)
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


def test_the_population_is_all_training_images() -> None:
    """What is exact is the law of total variance over all of them; what is not is over a part."""
    made = built("vae", 2)
    random = torch.Generator().manual_seed(6)
    everything, test = (torch.rand(n, 30, generator=random).round() for n in (300, 40))
    some = everything[:70]
    found = aggregate_arrays(made, 0, everything, some, test, rows=64)
    posterior = made.draw(
        made.encode(everything), draw_noise(made.latent_sizes, 300, generator=random)
    )[0].posterior
    mean, variance = (p.detach().double().numpy() for p in (posterior.mean, posterior.variance))
    exact = found["layers/1/train_moments"]
    np.testing.assert_allclose(exact[:, 0], mean.mean(0), atol=1e-7)
    np.testing.assert_allclose(exact[:, 3], mean.var(0) + variance.mean(0), rtol=1e-6)
    part = aggregate_arrays(made, 0, some, some, test, rows=64)
    np.testing.assert_array_equal(found["layers/2/train_moments"], part["layers/2/train_moments"])
    assert not np.array_equal(exact, part["layers/1/train_moments"])


def test_the_population_is_read_where_the_evaluation_has_a_part(digits: Path) -> None:
    settings: Any = {"images": 10, "train_images": 30}
    materials = Materials(digits, settings, binary=True)
    whole, part = materials.population, materials.train
    assert (len(whole.x), len(part.x)) == (4000, 30)
    torch.testing.assert_close(part.x, whole.x[chosen(30, 4000)])
    complete = Materials(digits, settings | {"train_images": 5000}, binary=True)
    assert complete.population is complete.train


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
