"""The ladder VAE (Sonderby et al. 2016)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from rungs.models.hierarchy import Hierarchy
from rungs.models.networks import MLP, GaussianHead
from rungs.models.protocol import Layer
from rungs.probability.gaussian import DiagonalGaussian, standard_gaussian_like


class LadderVAE(Hierarchy):
    """A VAE with a deterministic upward pass, and a downward pass that merges it with the prior.

    q(z_i | x, z_{i+1}) is the normalised product of the upward Gaussian of level i and the
    top-down Gaussian given z_{i+1}. The top layer has no merge: its posterior is the upward
    one, so that a ladder of depth 1 is a VAE.

    Args:
        upward: the input of the next level: ``mu``, the mean of the level's upward Gaussian (as
            released), or ``hidden``, its hidden units (as in the paper).
        share_top_down: whether inference uses the generative top-down networks (as in the paper) or
            has its own (as released).
    """

    def __init__(
        self,
        pixels: int,
        latent_sizes: list[int],
        hidden_sizes: list[int],
        batch_norm: bool,
        upward: Literal["mu", "hidden"],
        share_top_down: bool,
        activation: str = "leaky",
        pixel_bias: str = "zero",
    ) -> None:
        super().__init__(pixels, latent_sizes, hidden_sizes, batch_norm, activation, pixel_bias)
        self.upward = upward
        passed = self.latent_sizes if upward == "mu" else self.hidden_sizes
        inputs = [pixels, *passed[:-1]]
        self.bottom_up = nn.ModuleList(
            MLP(size, hidden, batch_norm, activation)
            for size, hidden in zip(inputs, self.hidden_sizes, strict=True)
        )
        self.evidence = nn.ModuleList(
            GaussianHead(hidden, units, batch_norm)
            for hidden, units in zip(self.hidden_sizes, self.latent_sizes, strict=True)
        )
        self.inference_top_down = None if share_top_down else self.new_top_down()

    def encode(self, x: Tensor) -> list[DiagonalGaussian]:
        """The upward Gaussian of every level for ``x [batch, pixels]``, bottom first."""
        evidence = []
        for network, head in zip(self.bottom_up, self.evidence, strict=True):
            hidden = network(x)
            evidence.append(head(hidden))
            x = evidence[-1].mean if self.upward == "mu" else hidden
        return evidence

    def draw(self, context: list[DiagonalGaussian], noise: list[Tensor]) -> list[Layer]:
        """Draw from the top down; every layer's KL is analytic given the layer above."""
        top = context[-1]
        z = top.sample(noise[-1])
        layers = [Layer(z, top, standard_gaussian_like(z), analytic=True)]
        for i in reversed(range(len(context) - 1)):
            prior: DiagonalGaussian = self.top_down[i](z)
            expected = prior if self.inference_top_down is None else self.inference_top_down[i](z)
            posterior = context[i].merge(expected)
            z = posterior.sample(noise[i])
            layers.insert(0, Layer(z, posterior, prior, analytic=True))
        return layers
