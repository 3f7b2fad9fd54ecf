"""VAEs with one stochastic layer and a choice of prior, posterior, likelihood and objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rungs.errors import ConfigError
from rungs.models.affine_map import AffineMap
from rungs.models.networks import MLP, Dense, GaussianHead
from rungs.models.objectives import (
    Variational,
    elbo_loss,
    importance_weighted_loss,
    objective_noise,
    statistics,
)
from rungs.models.posterior_heads import FullGaussianHead, MixtureHead
from rungs.models.priors import MixturePrior, StandardPrior, VampPrior
from rungs.models.protocol import Layer, Objective
from rungs.models.stratified import StratifiedDraw
from rungs.probability.divergences import BOUNDS, has_closed_form
from rungs.probability.gaussian import DiagonalGaussian
from rungs.probability.likelihoods import LIKELIHOODS
from rungs.probability.mixture import Mixture
from rungs.probability.posteriors import MixturePosterior

#: posterior and prior, computed once for any number of draws
Densities = tuple[Any, DiagonalGaussian | Mixture]


class SingleLayerVAE(Variational, nn.Module):
    """A VAE ``p(z) p(x|z)``, ``q(z|x)`` with a choice of families for each of the three.

    Args:
        pixels: size of a flattened image.
        latent_sizes: units of z, a list of one number. With 0 the decoder has no input, and the
            model is one learnt image.
        hidden_sizes: units of the dense layers, a list of one number.
        batch_norm: whether every dense layer but the pixels' is batch-normalised.
        prior: ``gaussian`` (standard), ``mixture`` (learnt) or ``vamp`` (Tomczak and Welling 2018).
        prior_components: K, for a mixture or VampPrior.
        posterior: ``diagonal``, ``full`` (covariance) or ``mixture``.
        posterior_components: the number of components of a mixture posterior.
        likelihood: a key of :data:`rungs.probability.likelihoods.LIKELIHOODS`.
        divergence: the KL term of the training objective: ``analytic`` (the closed form where there
            is one, else ``sampled``), ``sampled``, or the bounds ``upper`` and ``lower``. The
            importance weighted objective has no KL term and ignores it. Reported numbers are never
            bounds.
        affine_speed: of a learnt affine map of the latents before the decoder
            (:mod:`rungs.models.affine_map`), whose steps are so many times as long as those of other
            parameters; 0 for no such map.
        activation: of the hidden units, a key of :data:`rungs.models.networks.ACTIVATIONS`.

    Raises:
        ConfigError: for a combination that does not exist.

    Attributes:
        may_start: parameters that a run may have which the run that it continues has not; they then
            start at their initial values.
    """

    may_start = ("affine.location", "affine.log_scale")

    def __init__(
        self,
        pixels: int,
        latent_sizes: list[int],
        hidden_sizes: list[int],
        batch_norm: bool,
        prior: str,
        prior_components: int,
        posterior: str,
        posterior_components: int,
        likelihood: str,
        divergence: str,
        affine_speed: float = 0.0,
        activation: str = "leaky",
    ) -> None:
        super().__init__()
        _check(prior, posterior, divergence, batch_norm)
        self.latent_sizes = list(latent_sizes)
        units, hidden = latent_sizes[0], hidden_sizes[0]
        self.units = units
        self.likelihood = LIKELIHOODS[likelihood]()
        self.binary = self.likelihood.binary
        self.divergence = divergence
        self.strata = posterior_components if posterior == "mixture" else 1
        self.is_stratified = posterior == "mixture"
        self.encoder = MLP(pixels, hidden, batch_norm, activation) if units else None
        self.head = _head(posterior, hidden, units, posterior_components, batch_norm)
        self.prior = self._make_prior(prior, prior_components, pixels)
        self.affine = AffineMap(units, affine_speed) if affine_speed and units else None
        self.decoder = MLP(units, hidden, batch_norm, activation)
        self.pixel_outputs = Dense(hidden, self.likelihood.outputs * pixels, batch_norm=False)
        #: a draw from a mixture takes one number more, which picks the component
        more = self.is_stratified or prior != "gaussian"
        self.noise_sizes = [units + int(more)]

    def _make_prior(self, prior: str, components: int, pixels: int) -> nn.Module:
        if prior == "gaussian" or self.units == 0:
            return StandardPrior(self.units)
        if prior == "mixture":
            return MixturePrior(components, self.units)
        return VampPrior(components, pixels, self.posterior)

    def posterior(self, x: Tensor) -> Any:
        """q(z | x) for ``x [batch, pixels]``."""
        if self.encoder is None or self.head is None:
            empty = x.new_zeros(len(x), 0)
            return DiagonalGaussian(empty, empty)
        return self.head(self.encoder(x if self.binary else 2 * x - 1))

    def encode(self, x: Tensor) -> Densities:
        """q(z | x) for ``x [batch, pixels]``, and p(z)."""
        return self.posterior(x), self.prior()

    def draw(self, context: Densities, noise: list[Tensor]) -> list[Layer]:
        """An ordinary draw for each ``noise [..., batch, noise_sizes[0]]``."""
        posterior, prior = context
        own = noise[0] if isinstance(posterior, MixturePosterior) else noise[0][..., : self.units]
        analytic = has_closed_form(posterior, prior)
        return [Layer(posterior.sample(own), posterior, prior, analytic)]

    def outputs(self, z: Tensor) -> Tensor:
        """The parameters of p(x | z), ``[..., outputs * pixels]``."""
        outputs: Tensor = self.pixel_outputs(
            self.decoder(z if self.affine is None else self.affine(z))
        )
        return outputs

    @torch.no_grad()
    def undo_scale(self, factor: float) -> None:
        """Give ``factor * z`` the image that z has had: the layer after the latents is divided by it."""
        if self.affine is None:
            self.decoder.first.weight.div_(factor)
        else:
            self.affine.undo_scale(factor)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """``log p(x | z)``, ``[..., batch]``, nats."""
        return self.likelihood.log_probability(x, self.outputs(z))

    def decode(self, z: Tensor) -> Tensor:
        """The mean image of p(x | z), ``[..., pixels]``."""
        return self.likelihood.mean(self.outputs(z))

    def generate(self, noise: list[Tensor]) -> list[Tensor]:
        """A draw from the prior for each ``noise [..., noise_sizes[0]]``."""
        prior = self.prior()
        if isinstance(prior, Mixture):
            return [prior.sample(noise[0])]
        return [noise[0][..., : self.units]]

    def training_noise(
        self, images: int, settings: Mapping[str, Any], generator: torch.Generator
    ) -> list[Tensor]:
        """Noise of one draw from every component of the posterior."""
        return objective_noise(
            [self.strata * self.units],
            images,
            generator,
            settings["monte_carlo_samples"],
            settings["importance_samples"],
        )

    def objective(
        self, x: Tensor, noise: list[Tensor], settings: Mapping[str, Any], kl_weight: Tensor | float
    ) -> Objective:
        """The objective that ``importance_samples`` and the model's ``divergence`` choose."""
        draw = self._draw_strata(x, noise[0])
        if settings["importance_samples"] > 1:
            return self._importance_weighted(draw, kl_weight)
        if self.divergence in BOUNDS:
            return self._bounded(draw, kl_weight)
        return self._elbo(draw, kl_weight)

    def _draw_strata(self, x: Tensor, noise: Tensor) -> StratifiedDraw:
        posterior, prior = self.encode(x)
        log_strata: Tensor | None = None
        if isinstance(posterior, MixturePosterior):
            z, log_strata = posterior.stratified(noise), posterior.log_weights.T
        else:
            z = posterior.sample(noise)
        analytic = self.divergence == "analytic" and has_closed_form(posterior, prior)
        layer = Layer(z, posterior, prior, analytic)
        return StratifiedDraw(layer, self.log_likelihood(x, z), log_strata)

    def _elbo(self, draw: StratifiedDraw, kl_weight: Tensor | float) -> Objective:
        """The ELBO ``sum_c u_c (log p(x|z_c) + log p(z_c) - log q(z_c|x))``, or with the KL in closed
        form ``log p(x|z) - KL(q || p)``."""
        terms = draw.elbo_terms()
        return Objective(elbo_loss(terms, kl_weight), statistics(terms))

    def _bounded(self, draw: StratifiedDraw, kl_weight: Tensor | float) -> Objective:
        """``E log p(x|z) - B``, B being the upper or lower bound of KL(q || p) of
        :mod:`rungs.probability.divergences`; the statistics are those of the sampled ELBO."""
        terms = draw.elbo_terms()
        bound = BOUNDS[self.divergence](draw.layer.posterior, draw.layer.prior).mean()
        reconstruction = terms.reconstruction.mean()
        found = {"kl_trained": bound, "trained_bound": reconstruction - bound}
        found = {name: value.detach() for name, value in found.items()}
        return Objective(kl_weight * bound - reconstruction, statistics(terms) | found)

    def _importance_weighted(self, draw: StratifiedDraw, kl_weight: Tensor | float) -> Objective:
        """The importance weighted objective ``log (1/k) sum_i sum_c u_c w_ic``,
        ``w = p(x, z)/q(z|x)`` (Burda et al. 2016, eq. 8; Morningstar et al. 2020, eq. 9)."""

        def loss(weight: Tensor | float) -> Tensor:
            log_weights = draw.reconstruction + weight * draw.log_ratio
            if draw.log_strata is not None:
                log_weights = (log_weights + draw.log_strata).logsumexp(-2)
            return importance_weighted_loss(log_weights)

        bound = {"trained_bound": -loss(1.0).detach()}
        return Objective(loss(kl_weight), statistics(draw.elbo_terms()) | bound)


def _check(prior: str, posterior: str, divergence: str, batch_norm: bool) -> None:
    """Raise ConfigError for a combination that does not exist."""
    if prior == "vamp" and posterior != "diagonal":
        raise ConfigError(
            f"network.prior vamp takes its components from the posterior, which must be diagonal, "
            f"found {posterior}; use network.prior mixture."
        )
    if prior == "vamp" and batch_norm:
        raise ConfigError(
            "network.prior vamp: pseudo-inputs and images would be normalised by different batches; "
            "set network.batch_norm to false."
        )
    if posterior == "full" and divergence == "lower":
        raise ConfigError(
            "network.divergence lower is not available with network.posterior full; "
            "use sampled or upper."
        )


def _head(
    posterior: str, hidden: int, units: int, components: int, batch_norm: bool
) -> nn.Module | None:
    if units == 0:
        return None
    if posterior == "full":
        return FullGaussianHead(hidden, units, batch_norm)
    if posterior == "mixture":
        return MixtureHead(hidden, units, components, batch_norm)
    return GaussianHead(hidden, units, batch_norm)
