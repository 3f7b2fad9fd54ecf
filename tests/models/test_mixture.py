"""Mixture priors and posteriors against scipy, quadrature, Monte Carlo and other estimators."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, linalg, special, stats
from torch import Tensor
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)
from torch.utils._python_dispatch import TorchDispatchMode

from rungs.errors import ConfigError
from rungs.evaluation.frechet import frechet_distance
from rungs.evaluation.posterior_shape import count_modes, shape_of
from rungs.models import build
from rungs.models.networks import initialise
from rungs.models.priors import MixturePrior
from rungs.models.protocol import Layer, draw_noise, log_weights, noise_sizes
from rungs.probability.divergences import (
    component_divergences,
    entropy,
    has_closed_form,
    lower,
    upper,
)
from rungs.probability.gaussian import DiagonalGaussian
from rungs.probability.likelihoods import LIKELIHOODS, Discretised
from rungs.probability.mixture import Mixture, component_of
from rungs.probability.posteriors import FullGaussian, MixturePosterior
from rungs.tables.perplexity import NOT_GAUSSIAN


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixture(components: int, units: int, seed: int = 0, spread: float = 1.5) -> Mixture:
    random = generator(seed)
    draw = lambda *shape: torch.randn(*shape, generator=random, dtype=torch.float64)  # noqa: E731
    return Mixture(
        draw(components).log_softmax(-1),
        spread * draw(components, units),
        (0.7 * draw(components, units)).exp(),
    )


def diagonal(batch: int, units: int, seed: int = 1) -> DiagonalGaussian:
    random = generator(seed)
    mean = torch.randn(batch, units, generator=random, dtype=torch.float64)
    deviation = torch.randn(batch, units, generator=random, dtype=torch.float64)
    return DiagonalGaussian(mean, (0.8 * deviation - 1).exp())


def full(batch: int, units: int, seed: int = 2) -> FullGaussian:
    random = generator(seed)
    scale = 0.4 * torch.randn(batch, units, units, generator=random, dtype=torch.float64).tril(-1)
    own = torch.rand(batch, units, generator=random, dtype=torch.float64) + 0.3
    return FullGaussian(diagonal(batch, units, seed).mean, scale + own.diag_embed())


def mixed(batch: int, units: int, components: int = 3, seed: int = 3) -> MixturePosterior:
    random = generator(seed)
    draw = lambda *shape: torch.randn(*shape, generator=random, dtype=torch.float64)  # noqa: E731
    return MixturePosterior(
        draw(batch, components).log_softmax(-1),
        draw(batch, components, units),
        (0.5 * draw(batch, components, units) - 1).exp(),
    )


def noise_for(q: Any, draws: int, seed: int = 7) -> Tensor:
    batch, units = q.mean.shape
    extra = int(isinstance(q, MixturePosterior))
    return torch.randn(draws, batch, units + extra, generator=generator(seed), dtype=torch.float64)


# --- densities and samples ---------------------------------------------------------------------


def test_mixture_log_density_is_scipys() -> None:
    p = mixture(6, 4)
    z = 3 * torch.randn(50, 4, generator=generator(5), dtype=torch.float64)
    parts = [
        stats.multivariate_normal(m.numpy(), np.diag(v.numpy())).logpdf(z.numpy())
        for m, v in zip(p.means, p.variances, strict=True)
    ]
    expected = special.logsumexp(np.array(parts).T + p.log_weights.numpy(), axis=1)
    np.testing.assert_allclose(p.log_density(z)[:, 0].numpy(), expected, rtol=1e-11)


def test_mixture_log_density_has_the_gradient_of_its_terms() -> None:
    p, z = mixture(5, 2), torch.randn(2, 3, 2, generator=generator(6), dtype=torch.float64)
    leaves = [t.clone().requires_grad_() for t in (z, p.log_weights, p.means, p.variances)]

    def density(z: Tensor, *parameters: Tensor) -> Tensor:
        return Mixture(*parameters).log_density(z)

    assert torch.autograd.gradcheck(density, leaves)
    far = Mixture(*leaves[1:]).log_density(1e3 * leaves[0])
    assert bool(torch.isfinite(far).all())
    responsibilities = p.responsibilities(z)
    assert float(responsibilities.sum(-1).sub(1).abs().max()) < 1e-12


def test_mixture_samples_are_scipys() -> None:
    """Each unit's marginal by Kolmogorov and Smirnov, and the components' counts by chi squared."""
    p, draws = mixture(5, 2), 20_000
    noise = torch.randn(draws, 3, generator=generator(6), dtype=torch.float64)
    z = p.sample(noise).numpy()
    weights = p.log_weights.exp().numpy()
    for unit in range(2):

        def cdf(x: np.ndarray, unit: int = unit) -> np.ndarray:
            means, variances = p.means[:, unit].numpy(), p.variances[:, unit].numpy()
            return stats.norm.cdf(x[:, None], means, np.sqrt(variances)) @ weights

        assert stats.kstest(z[:, unit], cdf).pvalue > 0.01
    counts = np.bincount(component_of(p.log_weights, noise[:, -1]).numpy(), minlength=5)
    assert stats.chisquare(counts, weights * draws).pvalue > 0.01


def test_a_units_marginals_do_not_hide_the_joint_density() -> None:
    """Samples and density belong together: E_p[f/p] = 1 for a normalised density f."""
    p = mixture(4, 2, spread=0.5)
    z = p.sample(torch.randn(200_000, 3, generator=generator(8), dtype=torch.float64))
    ratio = (Normal(0.0, 0.6).log_prob(z).sum(-1) - p.log_density(z)[:, 0]).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / math.sqrt(len(z))


def test_the_expanded_square_in_single_precision() -> None:
    """With variances at their floor and latents far out the matrix product stays near float64."""
    p = mixture(1000, 10)
    p = Mixture(p.log_weights, p.means, torch.full_like(p.variances, 1e-3))
    z = p.sample(torch.randn(300, 11, generator=generator(3), dtype=torch.float64))
    single = Mixture(*(t.float() for t in (p.log_weights, p.means, p.variances)))
    error = (single.log_density(z.float()).double() - p.log_density(z)).abs().max()
    assert float(error) < 0.02, float(error)


def test_full_gaussian_is_torchs() -> None:
    q, z = full(5, 4), torch.randn(3, 5, 4, generator=generator(), dtype=torch.float64)
    reference = MultivariateNormal(q.mean, scale_tril=q.scale)
    torch.testing.assert_close(q.log_density(z)[..., 0], reference.log_prob(z))
    torch.testing.assert_close(q.variance, reference.variance)
    standard = DiagonalGaussian(
        torch.full((4,), 0.3).double(), torch.linspace(0.5, 2, 4, dtype=torch.float64)
    )
    other = MultivariateNormal(standard.mean, standard.variance.diag())
    torch.testing.assert_close(q.divergence(standard)[:, 0], kl_divergence(reference, other))
    torch.testing.assert_close(entropy(q), reference.entropy())
    draws = q.sample(torch.randn(100_000, 5, 4, generator=generator(1), dtype=torch.float64))
    covariance = torch.einsum("nbi,nbj->bij", draws - q.mean, draws - q.mean) / len(draws)
    torch.testing.assert_close(covariance, reference.covariance_matrix, atol=0.03, rtol=0)


def test_mixture_posterior_is_torchs() -> None:
    q = mixed(5, 3)
    parts = Independent(Normal(q.means, q.variances.sqrt()), 1)
    reference = MixtureSameFamily(Categorical(logits=q.log_weights), parts)
    z = torch.randn(4, 5, 3, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(q.log_density(z)[..., 0], reference.log_prob(z))
    torch.testing.assert_close(q.mean, reference.mean)
    draws = q.sample(torch.randn(100_000, 5, 4, generator=generator(1), dtype=torch.float64))
    torch.testing.assert_close(draws.mean(0), reference.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(draws.var(0), reference.variance, atol=0.04, rtol=0)


# --- divergences -------------------------------------------------------------------------------


def exact_1d(log_q: Any, p: Mixture, low: float, high: float) -> float:
    """KL by quadrature, from a vectorised log-density of q."""
    z = np.linspace(low, high, 20_001)
    q = log_q(torch.from_numpy(z)[:, None])
    values = np.exp(q) * (q - p.log_density(torch.from_numpy(z)[:, None])[:, 0].numpy())
    return float(integrate.simpson(values, x=z))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_every_estimate_against_quadrature(seed: int, components: int) -> None:
    p, q = mixture(components, 1, seed), diagonal(1, 1, seed + 1)
    width = 14 * float(q.variance.sqrt())
    centre = float(q.mean)
    truth = exact_1d(lambda z: q.log_density(z)[:, 0].numpy(), p, centre - width, centre + width)
    z = q.sample(noise_for(q, 20_000, seed))
    ratio = -Layer(z, q, p, analytic=False).log_ratio().squeeze()
    error = 4.5 * float(ratio.std()) / math.sqrt(len(ratio))
    assert float(ratio.mean()) == pytest.approx(truth, abs=error + 1e-6)
    assert float(upper(q, p)) >= truth - 1e-7
    assert float(lower(q, p)) <= truth + 1e-7
    # the parts: the divergence to a component, and the overlap with it
    one = Mixture(p.log_weights[:1] * 0, p.means[:1], p.variances[:1])
    first = exact_1d(lambda z: q.log_density(z)[:, 0].numpy(), one, centre - width, centre + width)
    assert float(component_divergences(q, p)[0, 0]) == pytest.approx(first, abs=1e-6)
    grid = torch.linspace(centre - width, centre + width, 20_001, dtype=torch.float64)[:, None]
    product = (q.log_density(grid) + p.log_density(grid)).exp().squeeze().numpy()
    overlap = math.log(integrate.simpson(product, x=grid.squeeze().numpy()))
    assert float(lower(q, p)) == pytest.approx(-float(entropy(q)) - overlap, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_bounds_of_a_mixture_posterior_against_quadrature(seed: int) -> None:
    p, q = mixture(3, 1, seed), mixed(1, 1, 3, seed + 1)
    truth = exact_1d(lambda z: q.log_density(z)[:, 0].numpy(), p, -25, 25)
    assert float(lower(q, p)) - 1e-7 <= truth <= float(upper(q, p)) + 1e-7


@pytest.mark.parametrize("family", [diagonal, full, mixed])
def test_every_estimate_against_a_million_samples(family: Any) -> None:
    p, q, million = mixture(8, 5), family(2, 5), 1_000_000
    z = q.sample(noise_for(q, million))
    ratio = -Layer(z, q, p, analytic=False).log_ratio().squeeze(-1)
    truth, error = ratio.mean(0), 4 * ratio.std(0) / million**0.5
    few = -Layer(z[:10_000], q, p, analytic=False).log_ratio().squeeze(-1)
    assert bool(((few.mean(0) - truth).abs() < 5 * few.std(0) / 100).all())
    assert bool((upper(q, p) >= truth - error).all())
    if family is not full:
        assert bool((lower(q, p) <= truth + error).all())
    # the bounds are not vacuous here
    assert bool((upper(q, p) - truth < 3).all())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 6), st.floats(0.1, 4))
def test_the_bounds_keep_their_order(seed: int, components: int, units: int, spread: float) -> None:
    p = mixture(components, units, seed, spread)
    for q in (diagonal(3, units, seed), mixed(3, units, 3, seed)):
        assert bool((lower(q, p) <= upper(q, p) + 1e-9).all())
    q = diagonal(3, units, seed)
    # the upper bound is below the divergence of every component taken alone, and at least 0 less log w
    alone = component_divergences(q, p) - p.log_weights
    assert bool((upper(q, p) <= alone.amin(-1) + 1e-9).all())


@pytest.mark.parametrize("family", [diagonal, full])
def test_one_component_makes_the_upper_bound_exact(family: Any) -> None:
    q = family(4, 3)
    one = DiagonalGaussian(torch.full((3,), 0.2).double(), torch.full((3,), 1.7).double())
    torch.testing.assert_close(upper(q, one), q.divergence(one).sum(-1))
    assert has_closed_form(q, one)
    assert not has_closed_form(q, mixture(2, 3))


def test_a_posterior_of_equal_components_is_its_gaussian() -> None:
    q = diagonal(4, 3)
    same = MixturePosterior(
        torch.full((4, 5), -math.log(5.0)).double(),
        q.mean.unsqueeze(1).expand(4, 5, 3),
        q.variance.unsqueeze(1).expand(4, 5, 3),
    )
    p = mixture(6, 3)
    torch.testing.assert_close(upper(same, p), upper(q, p))
    torch.testing.assert_close(lower(same, p), lower(q, p) - math.log(5))


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for value in found if isinstance(found, tuple | list) else (found,):
            if isinstance(value, Tensor):
                self.elements = max(self.elements, value.untyped_storage().nbytes() // 4)
        return found


@pytest.mark.parametrize("estimate", ["sampled", "upper", "lower"])
def test_no_tensor_of_batch_by_components_by_units(estimate: str) -> None:
    """256 x 1000 x 50, forward and backward: nothing larger than a few [batch, components]."""
    prior = MixturePrior(1000, 50)
    prior.initialise(generator())
    mean = torch.randn(256, 50, generator=generator(), requires_grad=True)
    with Largest() as largest:
        q = DiagonalGaussian(mean, torch.full((256, 50), 0.1))
        if estimate == "sampled":
            value = prior().log_density(q.sample(torch.randn(256, 50)))
        else:
            value = {"upper": upper, "lower": lower}[estimate](q, prior())
        torch.autograd.backward(value.sum())
    assert largest.elements <= 256 * 1000
    assert mean.grad is not None
    assert bool(torch.isfinite(mean.grad).all())


# --- stratified samples ------------------------------------------------------------------------


def test_the_stratified_gradient_is_the_score_functions() -> None:
    """Gradients of E_q[f] by every parameter: stratified draws against ordinary draws with the
    score function, within the error of both."""
    q, draws = mixed(1, 2, 3), 400_000
    target = torch.tensor([0.5, -1.0], dtype=torch.float64)
    raw = [t.clone().requires_grad_() for t in (q.log_weights, q.means, q.variances.log())]

    def rebuilt() -> MixturePosterior:
        return MixturePosterior(raw[0].log_softmax(-1), raw[1], raw[2].exp())

    def f(z: Tensor) -> Tensor:
        return (z - target).square().sum(-1).mul(-0.3).exp() + 0.2 * torch.sin(3 * z).sum(-1)

    groups = 40
    noise = torch.randn(draws, 1, 6, generator=generator(4), dtype=torch.float64)
    stratified, score = [], []
    for part in noise.split(draws // groups):
        model = rebuilt()
        value = (model.log_weights.exp().T * f(model.stratified(part))).sum(-2).mean()
        stratified.append([g.flatten() for g in torch.autograd.grad(value, raw)])
        model = rebuilt()
        with torch.no_grad():
            z = model.sample(part[..., [0, 1, 5]])
        surrogate = (f(z) * model.log_density(z)[..., 0]).mean()
        score.append([g.flatten() for g in torch.autograd.grad(surrogate, raw)])
    first, second = (torch.stack([torch.cat(g) for g in found]) for found in (stratified, score))
    error = ((first.var(0) + second.var(0)) / groups).sqrt()
    assert bool(((first.mean(0) - second.mean(0)).abs() < 4 * error + 1e-12).all())
    # and the stratified gradient is the less noisy one
    assert float(first.var(0).sum()) < 0.3 * float(second.var(0).sum())


def network(**changes: Any) -> dict[str, Any]:
    return {
        "latent_sizes": [3],
        "hidden_sizes": [16],
        "batch_norm": False,
        "prior": "gaussian",
        "prior_components": 7,
        "posterior": "diagonal",
        "posterior_components": 3,
        "likelihood": "bernoulli",
        "divergence": "analytic",
    } | changes


def model_of(**changes: Any) -> Any:
    built: Any = build("single", 20, network(**changes))
    initialise(built, generator())
    if changes.get("posterior") == "full":
        # it starts as a diagonal one; here its latents are to be correlated
        torch.nn.init.normal_(built.head.affine.weight, 0, 0.1, generator=generator(4))
    return built


def test_a_full_covariance_starts_as_a_diagonal_one() -> None:
    built: Any = build("single", 20, network(posterior="full"))
    initialise(built, generator())
    scale = built.posterior(BITS).scale
    assert (scale == scale.diagonal(dim1=-2, dim2=-1).diag_embed()).all()
    # and the gradient reaches what lies below the diagonal
    settings = {"monte_carlo_samples": 1, "importance_samples": 1}
    noise = built.training_noise(8, settings, generator(1))
    built.objective(BITS, noise, settings, 1.0).loss.backward()
    below = built.head.affine.weight.grad[2 * built.units :]
    assert (below.abs().sum(-1) > 0).all()


BITS = (torch.rand(8, 20, generator=generator(9)) < 0.5).float()
COMBINATIONS = [
    (prior, posterior, divergence, importance)
    for prior, posterior, divergence, importance in itertools.product(
        ("gaussian", "mixture", "vamp"),
        ("diagonal", "full", "mixture"),
        ("analytic", "sampled", "upper", "lower"),
        (1, 4),
    )
    if not (prior == "vamp" and posterior != "diagonal")
    and not (posterior == "full" and divergence == "lower")
]


@pytest.mark.parametrize(("prior", "posterior", "divergence", "importance"), COMBINATIONS)
def test_every_combination_trains_and_evaluates(
    prior: str, posterior: str, divergence: str, importance: int
) -> None:
    model = model_of(prior=prior, posterior=posterior, divergence=divergence)
    settings = {"monte_carlo_samples": 2, "importance_samples": importance}
    before = None
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for step in range(60):
        noise = model.training_noise(len(BITS), settings, generator(step))
        found = model.objective(BITS, noise, settings, 1.0)
        optimiser.zero_grad()
        torch.autograd.backward(found.loss)
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimiser.step()
        before = found.loss.item() if before is None else before
    assert found.loss.item() < before - 0.5
    assert {"elbo", "reconstruction"} <= set(found.statistics)
    model.eval()
    with torch.no_grad():
        noise = draw_noise(noise_sizes(model), 5, len(BITS), generator=generator())
        weights = log_weights(model, BITS, model.draw(model.encode(BITS), noise))
        assert weights.shape == (5, 8)
        z = model.generate(draw_noise(noise_sizes(model), 6, generator=generator()))[0]
        assert model.decode(z).shape == (6, 20)


@pytest.mark.parametrize("posterior", ["diagonal", "full", "mixture"])
@pytest.mark.parametrize("prior", ["gaussian", "mixture"])
def test_the_training_objective_is_what_is_evaluated(prior: str, posterior: str) -> None:
    """Stratified, analytic and ordinary estimates agree: the ELBO of training is the mean
    log-weight, and with k samples of each stratum the bound is between ELBO and log p(x)."""
    model = model_of(prior=prior, posterior=posterior).double()
    x, settings = BITS.double(), {"monte_carlo_samples": 4000, "importance_samples": 1}
    with torch.no_grad():
        noise = [n.double() for n in model.training_noise(8, settings, generator(1))]
        trained = -float(model.objective(x, noise, settings, 1.0).loss)
        sizes = noise_sizes(model)
        noise = [n.double() for n in draw_noise(sizes, 8000, 8, generator=generator(2))]
        weights = log_weights(model, x, model.draw(model.encode(x), noise))
        error = float(weights.std(0).max()) / math.sqrt(4000 * 8)
        assert trained == pytest.approx(float(weights.mean()), abs=5 * error)
        weighted = settings | {"monte_carlo_samples": 200, "importance_samples": 50}
        noise = [n.double() for n in model.training_noise(8, weighted, generator(3))]
        bound = -float(model.objective(x, noise, weighted, 1.0).loss)
        truth = float((weights.logsumexp(0) - math.log(8000)).mean())
        assert trained - 0.01 < bound < truth + 5 * error


def test_history_reports_samples_whatever_trains() -> None:
    """With the upper bound in training the noted ELBO is still the sampled one."""
    settings = {"monte_carlo_samples": 500, "importance_samples": 1}
    found = {}
    for divergence in ("sampled", "upper"):
        model = model_of(prior="mixture", divergence=divergence)
        noise = model.training_noise(8, settings, generator(1))
        found[divergence] = model.objective(BITS, noise, settings, 1.0)
    torch.testing.assert_close(
        found["sampled"].statistics["elbo"], found["upper"].statistics["elbo"]
    )
    assert found["upper"].loss.item() > found["sampled"].loss.item()


@pytest.mark.parametrize("prior", ["gaussian", "mixture", "vamp"])
def test_no_latents_is_one_image(prior: str) -> None:
    model = model_of(prior=prior, latent_sizes=[0]).eval()
    noise = draw_noise(noise_sizes(model), 4, generator=generator())
    images = model.decode(model.generate(noise)[0])
    assert images.shape == (4, 20)
    assert bool((images == images[0]).all())
    layers = model.draw(
        model.encode(BITS), draw_noise(noise_sizes(model), 8, generator=generator())
    )
    assert bool((layers[0].log_ratio().sum(-1) == 0).all())


def test_the_initial_mixture_is_about_the_unit_gaussian_and_has_no_twins() -> None:
    prior = MixturePrior(1000, 10)
    prior.initialise(generator())
    density = prior()
    assert density.mean.abs().max().item() < 0.1
    total = density.means.var(0) + density.variances.mean(0)
    assert bool(((total - 1).abs() < 0.15).all())
    assert float(torch.pdist(density.means).min()) > 0.3


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"prior": "vamp", "posterior": "full"}, "network.prior"),
        ({"prior": "vamp", "batch_norm": True}, "network.batch_norm"),
        ({"posterior": "full", "divergence": "lower"}, "network.divergence"),
    ],
)
def test_combinations_that_do_not_exist_are_named(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        build("single", 20, network(**changes))


# --- likelihoods -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["logistic", "gaussian"])
@settings(max_examples=60, deadline=None)
@given(location=st.floats(-8, 8), log_scale=st.floats(-12, 6))
def test_the_256_levels_add_up_to_one(name: str, location: float, log_scale: float) -> None:
    likelihood: Any = LIKELIHOODS[name]()
    output = torch.tensor([[location, log_scale]], dtype=torch.float64).expand(256, 2)
    levels = torch.arange(256, dtype=torch.float64)[:, None] / 255
    found = likelihood.log_probability(levels, output)
    assert bool(torch.isfinite(found).all())
    assert float(found.exp().sum()) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "reference"), [("logistic", stats.logistic), ("gaussian", stats.norm)]
)
def test_a_level_is_a_difference_of_scipys_distribution(name: str, reference: Any) -> None:
    likelihood = LIKELIHOODS[name]()
    assert isinstance(likelihood, Discretised)
    levels = np.arange(256) / 255
    edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 255, [np.inf]])
    for location, scale in ((0.3, 0.1), (0.9, 0.02), (0.01, 0.5)):
        expected = np.diff(reference.cdf(edges, location, scale))
        found = likelihood.level_log_probability(
            torch.from_numpy(levels), torch.tensor(location), torch.tensor(scale).log()
        )
        np.testing.assert_allclose(found.exp().numpy(), expected, rtol=1e-5, atol=1e-9)


def test_levels_of_stored_images_are_those_of_the_likelihood() -> None:
    """uint8 / 255 in single precision hits the open bins at both ends."""
    likelihood = LIKELIHOODS["logistic"]()
    x = torch.tensor([[0, 255]], dtype=torch.uint8).float() / 255
    found = likelihood.log_probability(x, torch.tensor([[-20.0, 20.0, -3.0, -3.0]]))
    inside = torch.nn.functional.logsigmoid(torch.tensor(0.5 / 255 * math.exp(5)))
    assert float(found) == pytest.approx(2 * float(inside), rel=1e-4)


# --- the shape of a posterior, the Frechet distance ---------------------------------------------


def posterior_1d(
    weights: list[float], means: list[float], variances: list[float]
) -> MixturePosterior:
    tensor = lambda values: torch.tensor([values])  # noqa: E731
    return MixturePosterior(
        tensor(weights).log(), tensor(means).unsqueeze(-1), tensor(variances).unsqueeze(-1)
    )


@pytest.mark.parametrize(
    ("q", "modes", "gaussian"),
    [
        (posterior_1d([0.5, 0.5], [-3.0, 3.0], [1.0, 1.0]), 2, False),
        # equal widths are unimodal up to a distance of two deviations
        (posterior_1d([0.5, 0.5], [-0.95, 0.95], [1.0, 1.0]), 1, True),
        (posterior_1d([0.8, 0.2], [0.0, 2.2], [1.0, 1.0]), 1, False),
        (posterior_1d([0.5, 0.5], [-1.3, 1.3], [1.0, 1.0]), 2, False),
        # one place, two widths: heavy tails
        (posterior_1d([0.5, 0.5], [0.0, 0.0], [0.05, 3.0]), 1, False),
        (posterior_1d([0.3, 0.7], [0.2, 0.2], [1.0, 1.0]), 1, True),
        # a component without weight makes no mode
        (posterior_1d([0.999, 0.001], [0.0, 9.0], [1.0, 1.0]), 1, False),
        (posterior_1d([0.3, 0.3, 0.4], [-5.0, 0.0, 5.0], [1.0, 1.0, 1.0]), 3, False),
    ],
)
def test_modes_and_negentropy(q: MixturePosterior, modes: int, gaussian: bool) -> None:
    found = shape_of(q, 20_000, generator())
    assert int(found.modes) == modes
    z = np.linspace(-40, 40, 400_001)
    log_q = q.log_density(torch.from_numpy(z).float()[:, None, None]).squeeze().double().numpy()
    mean = integrate.simpson(np.exp(log_q) * z, x=z)
    deviation = math.sqrt(integrate.simpson(np.exp(log_q) * (z - mean) ** 2, x=z))
    expected = integrate.simpson(
        np.exp(log_q) * (log_q - stats.norm.logpdf(z, mean, deviation)), x=z
    )
    assert float(found.negentropy) == pytest.approx(expected, abs=0.02)
    assert (float(found.negentropy) > NOT_GAUSSIAN) == (not gaussian)


def test_components_that_can_be_told_apart() -> None:
    far = posterior_1d([0.25] * 4, [-30.0, -10.0, 10.0, 30.0], [1.0] * 4)
    assert float(shape_of(far, 2000, generator()).components) == pytest.approx(4, rel=1e-3)
    same = posterior_1d([0.25] * 4, [1.0] * 4, [1.0] * 4)
    assert float(shape_of(same, 2000, generator()).components) == pytest.approx(1, abs=1e-3)


def test_modes_in_many_units_and_images() -> None:
    q = mixed(20, 5)
    counts = count_modes(MixturePosterior(q.log_weights, 20 * q.means, q.variances))
    assert bool((counts == (q.log_weights.exp() >= 0.01).sum(-1)).all())


def test_the_frechet_distance_is_that_of_scipys_root() -> None:
    random = np.random.default_rng(0)
    first = random.normal(size=(400, 6)) @ random.normal(size=(6, 6))
    second = random.normal(size=(300, 6)) @ random.normal(size=(6, 6)) + 0.5
    covariances = [np.cov(x.T, bias=True) for x in (first, second)]
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.square(first.mean(0) - second.mean(0)).sum() + np.trace(
        sum(covariances) - 2 * root
    )
    assert frechet_distance(first, second)[0] == pytest.approx(expected)
    assert frechet_distance(first, first)[0] == pytest.approx(0, abs=1e-9)
    # weights are resampled images
    chosen = random.integers(0, 400, 400)
    weights = np.bincount(chosen, minlength=400)[None] / 400
    expected = frechet_distance(first[chosen], second)
    np.testing.assert_allclose(frechet_distance(first, second, weights), expected)


@pytest.mark.parametrize("posterior", ["diagonal", "full", "mixture"])
@pytest.mark.parametrize("prior", ["gaussian", "mixture"])
def test_samples_do_not_depend_on_their_company(prior: str, posterior: str) -> None:
    """In test mode an image's draw is the same alone and in a batch, once and many times."""
    model = model_of(prior=prior, posterior=posterior).double().eval()
    x = BITS.double()
    noise = draw_noise(noise_sizes(model), 3, len(x), generator=generator(5))[0].double()
    with torch.no_grad():
        whole = log_weights(model, x, model.draw(model.encode(x), [noise]))
        part = log_weights(model, x[4:6], model.draw(model.encode(x[4:6]), [noise[1, 4:6]]))
    torch.testing.assert_close(whole[1, 4:6], part)


# --- VAE/GAN -----------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", ["gaussian", "mixture"])
def test_each_part_of_a_vaegan_learns_from_its_own_terms(prior: str) -> None:
    """The one loss gives every network the gradient of its own loss of Larsen et al. 2016."""
    from rungs.models.vaegan import GAMMA, REST

    sizes = {"latent_sizes": [3], "hidden_sizes": [16], "prior": prior, "prior_components": 5}
    model: Any = build("vaegan", 64, sizes)
    initialise(model, generator())
    x = torch.rand(8, 64, generator=generator(1))
    settings = {"monte_carlo_samples": 1, "importance_samples": 1}
    noise = model.training_noise(8, settings, generator(2))
    found = model.objective(x, noise, settings, 1.0)
    torch.autograd.backward(found.loss)
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    posterior, density = model.encode(x)
    z = posterior.sample(noise[0])
    kl = Layer(z, posterior, density, prior == "gaussian").kl().sum(-1).mean()
    drawn = model.generate([noise[1]])[0].detach()
    features = model.discriminator(model.decode(z))[0] - model.discriminator(x)[0].detach()
    reconstruction = 0.5 * features.square().sum(-1).mean()
    fakes = model.decode(torch.cat([z.detach(), drawn]))
    fake, real = model.discriminator(fakes)[1], model.discriminator(x)[1]
    softplus = torch.nn.functional.softplus
    fooled = softplus(-fake).mean()
    told = softplus(-real).mean() + softplus(fake).mean()
    assert float(told) > REST
    expected = {
        ("encoder", "head", "prior"): kl + reconstruction,
        ("decoder", "pixel_logits"): GAMMA * reconstruction + fooled,
        ("discriminator",): told,
    }
    for parts, loss in expected.items():
        own = {n: p for n, p in model.named_parameters() if n.startswith(parts)}
        wanted = torch.autograd.grad(loss, list(own.values()), retain_graph=True)
        for name, gradient in zip(own, wanted, strict=True):
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-6)


def test_a_vaegan_needs_square_images() -> None:
    with pytest.raises(ConfigError, match="square"):
        build(
            "vaegan",
            20,
            {"latent_sizes": [3], "hidden_sizes": [8], "prior": "gaussian", "prior_components": 2},
        )


def test_tables_show_missing_integers_as_empty() -> None:
    """A layer whose prior does not factorise has no count of active units."""
    import pandas as pd

    from rungs.tables import to_markdown

    table = pd.DataFrame({"active_kl": pd.array([3, None], dtype="Int64"), "x": [0.5, None]})
    assert to_markdown(table).splitlines()[2:] == ["| 3 | 0.500 |", "|  |  |"]


def test_a_discriminator_that_wins_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    from rungs.models import vaegan

    monkeypatch.setattr(vaegan, "REST", 100.0)
    sizes = {"latent_sizes": [3], "hidden_sizes": [16], "prior": "gaussian", "prior_components": 5}
    model: Any = build("vaegan", 64, sizes)
    initialise(model, generator())
    settings = {"monte_carlo_samples": 1, "importance_samples": 1}
    noise = model.training_noise(8, settings, generator(2))
    model.objective(torch.ones(8, 64), noise, settings, 1.0).loss.backward()
    assert all(not p.grad.any() for p in model.discriminator.parameters())
    assert model.pixel_logits.weight.grad.any()
    assert model.encoder.first.weight.grad.any()
