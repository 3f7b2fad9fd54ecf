"""Full covariances and mixtures against torch.distributions, and stratified gradients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from densities import full, generator, mixed
from rungs.probability.divergences import (
    entropy,
)
from rungs.probability.gaussian import DiagonalGaussian
from rungs.probability.posteriors import MixturePosterior


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
