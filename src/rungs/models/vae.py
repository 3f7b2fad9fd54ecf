"""The hierarchical VAE with bottom-up inference: q(z_1|x) q(z_2|z_1) ... (Kingma and Welling
2014; Rezende et al. 2014; Burda et al. 2016)."""

from __future__ import annotations

from torch import Tensor, nn

from rungs.models.hierarchy import Hierarchy
from rungs.models.networks import GaussianMLP
from rungs.models.protocol import Layer
from rungs.probability.gaussian import DiagonalGaussian


class BottomUpVAE(Hierarchy):
    """A VAE that infers each layer from a sample of the layer below; q and p share no networks."""

    def __init__(
        self,
        pixels: int,
        latent_sizes: list[int],
        hidden_sizes: list[int],
        batch_norm: bool,
        activation: str = "leaky",
        pixel_bias: str = "zero",
    ) -> None:
        super().__init__(pixels, latent_sizes, hidden_sizes, batch_norm, activation, pixel_bias)
        inputs = [pixels, *self.latent_sizes[:-1]]
        self.bottom_up = nn.ModuleList(
            GaussianMLP(size, hidden, units, batch_norm, activation)
            for size, hidden, units in zip(
                inputs, self.hidden_sizes, self.latent_sizes, strict=True
            )
        )

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """q(z_1 | x) for ``x [batch, pixels]``."""
        posterior: DiagonalGaussian = self.bottom_up[0](x)
        return posterior

    def draw(self, context: DiagonalGaussian, noise: list[Tensor]) -> list[Layer]:
        """Draw z_1 from q(z_1|x), then each z_{i+1} from q(z_{i+1}|z_i)."""
        posteriors, latents = [context], [context.sample(noise[0])]
        for network, epsilon in zip(self.bottom_up[1:], noise[1:], strict=True):
            posteriors.append(network(latents[-1]))
            latents.append(posteriors[-1].sample(epsilon))
        top = len(latents) - 1
        return [
            Layer(z, posterior, prior, analytic=i == top)
            for i, (z, posterior, prior) in enumerate(
                zip(latents, posteriors, self.priors(latents), strict=True)
            )
        ]
