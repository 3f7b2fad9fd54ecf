"""The VAE/GAN, which measures reconstructions by the features of a discriminator (Larsen et al. 2016).

It has no likelihood p(x|z) of images, hence no ELBO and no L_k.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from rungs.errors import ConfigError
from rungs.models.networks import MLP, Dense, GaussianHead
from rungs.models.priors import MixturePrior, StandardPrior
from rungs.models.protocol import Layer, Objective, draw_noise
from rungs.probability.gaussian import DiagonalGaussian
from rungs.probability.mixture import Mixture

#: the weight of the reconstruction in the decoder's loss, relative to the discriminator's term; with a
#: tenth of it the decoder learns to fool the discriminator and ignores z
GAMMA = 1.0
#: the loss below which the discriminator is not trained; guessing has 2 log 2 = 1.39. Without rests it
#: wins within an epoch, its features grow without bound, and all samples look alike
REST = 0.7
HIDDEN = 64
SLOPE = 0.2


class Discriminator(nn.Module):
    """A network of two strided convolutions, whose outputs are the features, and two dense layers.

    Args:
        side: the height and width of a grey image.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.first = nn.Conv2d(1, 16, 5, stride=2, padding=2)
        self.second = nn.Conv2d(16, 32, 5, stride=2, padding=2)
        self.dense = nn.Linear(32 * (-(-side // 4)) ** 2, HIDDEN)
        self.output = nn.Linear(HIDDEN, 1)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights; biases are 0."""
        with torch.no_grad():
            for parameter in self.parameters():
                if parameter.dim() > 1:
                    nn.init.kaiming_normal_(parameter, SLOPE, generator=generator)
                else:
                    parameter.zero_()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The features ``[n, ...]`` and the logit of being a real image ``[n]`` of ``x [n, pixels]``."""
        hidden = x.reshape(-1, 1, self.side, self.side)
        hidden = functional.leaky_relu(self.first(2 * hidden - 1), SLOPE)
        features = functional.leaky_relu(self.second(hidden), SLOPE).flatten(1)
        hidden = functional.leaky_relu(self.dense(features), SLOPE)
        return features, self.output(hidden).squeeze(-1)


def with_gradient(z: Tensor, factor: float) -> Tensor:
    """Return z, with its gradient multiplied by ``factor``."""
    return factor * z + (1 - factor) * z.detach()


class VAEGAN(nn.Module):
    """The encoder and decoder of a VAE, and a discriminator (Larsen et al. 2016, Algorithm 1).

    The encoder minimises ``KL(q(z|x) || p(z)) + |D(x) - D(dec(z))|^2 / 2``, D being the
    discriminator's features: a Gaussian log-likelihood of features with unit variance. The decoder
    minimises that reconstruction term, weighted by :data:`GAMMA`, and the non-saturating loss of
    Goodfellow et al. 2014. The discriminator learns to distinguish images from reconstructions and from
    samples, and is not trained while it does so too well. One loss serves all three networks: each term
    holds fixed the networks that are not to learn from it.

    Args:
        pixels: size of a flattened square grey image.
        latent_sizes: units of z, a list of one number.
        hidden_sizes: units of the dense layers, a list of one number.
        prior: ``gaussian`` or ``mixture``.
        prior_components: the number of components of a mixture.
    """

    binary = False

    def __init__(
        self,
        pixels: int,
        latent_sizes: list[int],
        hidden_sizes: list[int],
        prior: str,
        prior_components: int,
    ) -> None:
        super().__init__()
        side = round(pixels**0.5)
        if prior not in ("gaussian", "mixture") or side**2 != pixels or latent_sizes[0] == 0:
            raise ConfigError(
                "model vaegan needs square grey images, at least one latent unit, and network.prior "
                "gaussian or mixture; use another data set, grid or prior."
            )
        self.latent_sizes = list(latent_sizes)
        self.units = units = latent_sizes[0]
        hidden = hidden_sizes[0]
        self.encoder = MLP(pixels, hidden, batch_norm=False)
        self.head = GaussianHead(hidden, units, batch_norm=False)
        mixture = prior == "mixture"
        self.prior = MixturePrior(prior_components, units) if mixture else StandardPrior(units)
        self.decoder = MLP(units, hidden, batch_norm=False)
        self.pixel_logits = Dense(hidden, pixels, batch_norm=False)
        self.discriminator = Discriminator(side)
        self.noise_sizes = [units + int(mixture)]

    def encode(self, x: Tensor) -> tuple[DiagonalGaussian, DiagonalGaussian | Mixture]:
        """q(z | x) for ``x [batch, pixels]``, and p(z)."""
        return self.head(self.encoder(2 * x - 1)), self.prior()

    def decode(self, z: Tensor) -> Tensor:
        """The image of z, ``[..., pixels]``."""
        return torch.sigmoid(self.pixel_logits(self.decoder(z)))

    def generate(self, noise: list[Tensor]) -> list[Tensor]:
        """A draw from the prior for each ``noise [..., noise_sizes[0]]``."""
        prior = self.prior()
        if isinstance(prior, Mixture):
            return [prior.sample(noise[0])]
        return [noise[0][..., : self.units]]

    def training_noise(
        self, images: int, settings: Mapping[str, Any], generator: torch.Generator
    ) -> list[Tensor]:
        """The noise of one draw from the posterior and of one from the prior."""
        return draw_noise([self.units, *self.noise_sizes], images, generator=generator)

    def objective(
        self, x: Tensor, noise: list[Tensor], settings: Mapping[str, Any], kl_weight: Tensor | float
    ) -> Objective:
        """The sum of the three losses; the statistic ``objective`` is the encoder's."""
        posterior, prior = self.encode(x)
        z = posterior.sample(noise[0])
        kl = Layer(z, posterior, prior, isinstance(prior, DiagonalGaussian)).kl().sum(-1).mean()
        fixed = {name: p.detach() for name, p in self.discriminator.named_parameters()}

        def judged(images: Tensor) -> tuple[Tensor, Tensor]:
            """Features and logits of a discriminator that does not learn from them."""
            found: tuple[Tensor, Tensor] = functional_call(self.discriminator, fixed, (images,))
            return found

        with torch.no_grad():
            target = self.discriminator(x)[0]
            drawn = self.generate([noise[1]])[0]
        # the encoder receives the gradient of the reconstruction with weight 1, the decoder with GAMMA
        features, _ = judged(self.decode(with_gradient(z, 1 / GAMMA)))
        reconstruction = 0.5 * (features - target).square().sum(-1).mean()
        fakes = self.decode(torch.cat([z.detach(), drawn]))
        fooled = functional.softplus(-judged(fakes)[1]).mean()
        real_logit, fake_logit = self.discriminator(x)[1], self.discriminator(fakes.detach())[1]
        told = functional.softplus(-real_logit).mean() + functional.softplus(fake_logit).mean()
        awake = (told.detach() > REST).to(told.dtype)
        loss = kl_weight * kl + GAMMA * reconstruction + fooled + awake * told
        statistics = {
            "objective": -(kl + reconstruction),
            "kl": kl,
            "feature_loss": reconstruction,
            "discriminator_loss": told,
        }
        return Objective(loss, {name: value.detach() for name, value in statistics.items()})
