"""The VQ-VAE (van den Oord, Vinyals and Kavukcuoglu 2017, "Neural discrete representation
learning").

The encoder's vector at each position of a grid is replaced by the nearest of K codebook vectors.
The objective has three terms (eq. 3), sg being the stop-gradient:

``log p(x | z_q) - |sg[z_e] - e|^2 - beta |z_e - sg[e]|^2``,

The last two terms are averaged over the positions of the grid. How much they weigh beside the first
differs between the paper and the authors' library (docs/vq.md). ``likelihood`` takes the first of an
image, as the paper writes it, or averages it over dimensions; ``distance`` sums the squares over the
entries of a vector, as the paper writes it, or averages them. The gradient of the first term passes the
quantiser unchanged (straight-through) and reaches decoder and encoder; that of the second reaches only
the codebook, that of the third only the encoder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rungs.data.image_shape import ImageShape
from rungs.models.convolutional import Encoder, to_planes
from rungs.models.networks import draw_glorot
from rungs.models.pixel_decoder import PixelDecoder
from rungs.models.protocol import Objective
from rungs.numerics.custom_op import opaque

KMEANS_ITERATIONS = 10


def nearest_codes(vectors: Tensor, codebook: Tensor) -> Tensor:
    """The index of the nearest codebook vector for each of ``vectors [n, dim]``, ``[n]``.

    ``|z - e|^2 = |z|^2 - 2 z.e + |e|^2``: the first term is the same for all codes, the second is a
    matrix product.

    Args:
        codebook: ``[codes, dim]``.

    Example:
        >>> nearest_codes(torch.tensor([[0.9, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
        tensor([1])
    """
    half_squares = 0.5 * codebook.square().sum(-1)
    return torch.addmm(half_squares, vectors, codebook.T, alpha=-1).argmin(-1)


def code_counts(codes: Tensor, count: int) -> Tensor:
    """Count how often each of ``count`` codes occurs among ``codes [n]``, ``[count]``.

    The counts are whole numbers, so the order of adding does not matter.
    """
    ones = torch.ones(codes.shape, device=codes.device)
    return torch.zeros(count, device=codes.device).index_add_(0, codes, ones)


def code_sums(vectors: Tensor, codes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Count the ``vectors [n, dim]`` of each of ``count`` codes, ``[count]``, and add them up, ``[count,
    dim]``.

    The sums are a matrix product with one-hot rows, which gives the same bits on every run.
    """
    # torch's one_hot looks at the codes first, which cannot be recorded (rungs.training.recorded_step)
    chosen = (codes[:, None] == torch.arange(count, device=codes.device)).to(vectors)
    return code_counts(codes, count), chosen.T @ vectors


def kmeans(vectors: Tensor, start: Tensor, iterations: int = KMEANS_ITERATIONS) -> Tensor:
    """Run Lloyd's algorithm from the centres ``start [codes, dim]``; a centre without vectors stays."""
    centres = start
    for _ in range(iterations):
        counts, sums = code_sums(vectors, nearest_codes(vectors, centres), len(centres))
        means = sums / counts.clamp_min(1)[:, None]
        centres = torch.where(counts[:, None] > 0, means, centres)
    return centres


@opaque(
    "start_at_centres(Tensor vectors, Tensor noise, Tensor(a!) weight, Tensor(b!)? moved, "
    "Tensor(c!) started) -> ()"
)
def start_at_centres(
    vectors: Tensor, noise: Tensor, weight: Tensor, moved: Tensor | None, started: Tensor
) -> None:
    """See :meth:`Codebook.start`."""
    if not bool(started):
        weight.copy_(kmeans(vectors, vectors[(noise * len(vectors)).long()]))
        if moved is not None:
            moved.zero_()
        started.fill_(1)


class Codebook(nn.Module):
    """K vectors, learnt by gradient or by exponential moving averages.

    Learnt by gradient, the vectors are ``weight + speed * moved``: ``weight`` is where they start and
    is not learnt, ``moved`` starts at 0. Adam's steps do not depend on the gradient's scale, so a
    weight of the codebook's loss would have no effect on its speed; this form makes its steps
    ``speed`` times as long as those of all other parameters.

    Learnt by averages (the paper's appendix A.1), ``weight`` is the codebook itself:
    ``N <- decay N + (1 - decay) n``, ``e <- (decay N_old e_old + (1 - decay) sum z) / N``.

    Args:
        codes: K.
        dim: entries of a vector.
        update: ``gradient`` or ``ema``.
        speed: the length of the codebook's steps relative to other parameters'; for ``gradient``.
        decay: the decay of the averages.
    """

    weight: Tensor
    counts: Tensor
    started: Tensor

    def __init__(self, codes: int, dim: int, update: str, speed: float, decay: float) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty(codes, dim))
        self.register_buffer("counts", torch.ones(codes))
        self.register_buffer("started", torch.zeros(1))
        self.moved = nn.Parameter(torch.zeros(codes, dim)) if update == "gradient" else None
        self.speed, self.decay = speed, decay

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the vectors as a dense layer draws its weights."""
        draw_glorot(self.weight, generator)

    def vectors(self) -> Tensor:
        """The codebook, ``[codes, dim]``."""
        return self.weight if self.moved is None else self.weight + self.speed * self.moved

    @torch.no_grad()
    def place(self, chosen: Tensor, vectors: Tensor) -> None:
        """Replace the codes of the mask ``chosen [codes]`` by those of ``vectors [codes, dim]``."""
        mask = chosen[:, None]
        self.weight.copy_(torch.where(mask, vectors, self.weight))
        if self.moved is not None:
            self.moved.masked_fill_(mask, 0)

    @torch.no_grad()
    def start(self, vectors: Tensor, noise: Tensor) -> None:
        """Begin at the k-means centres of the first batch's ``vectors [n, dim]``.

        Args:
            noise: uniform, ``[codes]``; it picks the vectors at which the centres begin.
        """
        torch.ops.rungs.start_at_centres(vectors, noise, self.weight, self.moved, self.started)

    @torch.no_grad()
    def average(self, vectors: Tensor, codes: Tensor) -> None:
        """Update the averages by a batch: the use of every code and, for ``ema``, its vector."""
        counts, sums = code_sums(vectors, codes, len(self.counts))
        old = self.decay * self.counts
        self.counts.copy_(old + (1 - self.decay) * counts)
        if self.moved is None:
            moved = old[:, None] * self.weight + (1 - self.decay) * sums
            moved /= self.counts.clamp_min(1e-20)[:, None]
            # a code that has long been out of use has no weight left and stays where it is
            self.weight.copy_(torch.where(self.counts[:, None] > 1e-20, moved, self.weight))

    @torch.no_grad()
    def revive(self, vectors: Tensor, noise: Tensor, below: float) -> None:
        """Move codes with an average use a batch of less than ``below`` to vectors of the batch."""
        dead = self.counts < below
        self.place(dead, vectors[(noise * len(vectors)).long()])
        self.counts.masked_fill_(dead, len(vectors) / len(self.counts))


@dataclass(frozen=True)
class Quantised:
    """A quantised batch.

    Attributes:
        encoded: z_e, the encoder's output, ``[n, dim]``, one row a position.
        codes: the index of the nearest codebook vector, ``[n]``.
        vectors: e, the nearest codebook vectors, ``[n, dim]``.
    """

    encoded: Tensor
    codes: Tensor
    vectors: Tensor

    @property
    def straight_through(self) -> Tensor:
        """z_q with the gradient of z_e, ``[n, dim]``."""
        return self.encoded + (self.vectors - self.encoded).detach()

    @property
    def codebook_loss(self) -> Tensor:
        """``|sg[z_e] - e|^2``, averaged over positions: a scalar."""
        return (self.encoded.detach() - self.vectors).square().sum(-1).mean()

    @property
    def commitment_loss(self) -> Tensor:
        """``|z_e - sg[e]|^2``, averaged over positions, without beta: a scalar."""
        return (self.encoded - self.vectors.detach()).square().sum(-1).mean()


class VQVAE(nn.Module):
    """The VQ-VAE: encoder, quantiser and decoder.

    Args:
        pixels: size of a flattened image.
        shape: of the data set's images.
        codes: K, the codebook's size.
        convolutional: ``channels, residual_blocks, residual_channels, components``.
        vq: ``code_dim``; ``likelihood``, ``dimension`` or ``image``: whether the loss contains the
            log-likelihood a dimension or an image; ``distance``, ``sum`` or ``mean``: whether it contains
            the sum of the squared differences of two vectors' entries or their mean; ``beta``, the weight
            of the commitment loss; ``update``, ``gradient`` (as published) or ``ema``; ``decay`` of the
            averages; ``speed`` of the codebook; ``kmeans``, whether the codebook starts at k-means centres;
            ``revive``, the average use a batch below which a code is moved, 0 for never.
        decoder: ``convolutional`` or ``pixelcnn``.
        pixelcnn: ``channels, layers, reach``.
    """

    binary = False

    def __init__(
        self,
        pixels: int,
        shape: list[int],
        codes: int,
        convolutional: dict[str, Any],
        vq: dict[str, Any],
        decoder: str,
        pixelcnn: dict[str, Any],
    ) -> None:
        super().__init__()
        self.shape = ImageShape.of(shape)
        assert self.shape.pixels == pixels, f"{pixels} pixels are no images of {shape}"
        self.pixels, self.code_count, self.settings = pixels, codes, vq
        networks = {
            key: convolutional[key] for key in ("channels", "residual_blocks", "residual_channels")
        }
        dim = vq["code_dim"]
        self.encoder = Encoder(self.shape.channels, dim, **networks)
        self.codebook = Codebook(codes, dim, vq["update"], vq["speed"], vq["decay"])
        self.decoder = PixelDecoder(self.shape, dim, convolutional, decoder, pixelcnn)

    @property
    def grid(self) -> tuple[int, int]:
        """The height and width of the grid of codes."""
        return self.shape.grid

    def encode(self, x: Tensor) -> Tensor:
        """z_e of ``x [batch, pixels]``, one row a position, ``[batch * positions, dim]``."""
        grid = self.encoder(to_planes(x, self.shape))
        return grid.movedim(-3, -1).flatten(0, -2)

    def quantise(self, encoded: Tensor) -> Quantised:
        """The nearest codes of ``encoded [n, dim]``."""
        codebook = self.codebook.vectors()
        codes = nearest_codes(encoded.detach(), codebook.detach())
        return Quantised(encoded, codes, nn.functional.embedding(codes, codebook))

    def as_grid(self, rows: Tensor) -> Tensor:
        """Reshape rows of :meth:`encode` to ``[batch, dim, h/4, w/4]``."""
        return rows.unflatten(0, (-1, *self.grid)).movedim(-1, -3)

    def codes(self, x: Tensor) -> Tensor:
        """The codes of ``x [batch, pixels]``, ``[batch, positions]``."""
        found = self.quantise(self.encode(x)).codes
        return found.unflatten(0, (len(x), -1))

    def log_likelihood(self, x: Tensor, codes: Tensor) -> Tensor:
        """``log p(x | codes)`` for ``codes [batch, positions]``, ``[batch]``, nats."""
        vectors = self.codebook.vectors()[codes.flatten()]
        return self.decoder.log_likelihood(x, self.as_grid(vectors))

    def image(self, codes: Tensor, noise: Tensor | None = None) -> Tensor:
        """The image of ``codes [batch, positions]``, ``[batch, pixels]``; see
        :meth:`PixelDecoder.image`."""
        return self.decoder.image(self.as_grid(self.codebook.vectors()[codes.flatten()]), noise)

    def training_noise(
        self, images: int, settings: Mapping[str, Any], generator: torch.Generator
    ) -> list[Tensor]:
        """Uniform ``[codes]``, to pick vectors for k-means and for unused codes; none as published."""
        if not (self.settings["kmeans"] or self.settings["revive"]):
            return []
        return [torch.rand(self.code_count, generator=generator, device=generator.device)]

    def objective(
        self, x: Tensor, noise: list[Tensor], settings: Mapping[str, Any], kl_weight: Tensor | float
    ) -> Objective:
        """The three terms; the statistic ``elbo`` is the bound under a uniform prior over codes."""
        encoded = self.encode(x)
        if self.training and self.settings["kmeans"]:
            self.codebook.start(encoded.detach(), noise[0])
        quantised = self.quantise(encoded)
        likelihood = self.decoder.log_likelihood(x, self.as_grid(quantised.straight_through)).mean()
        weight = 1 / self.pixels if self.settings["likelihood"] == "dimension" else 1.0
        share = 1 / encoded.shape[-1] if self.settings["distance"] == "mean" else 1.0
        loss = share * self.settings["beta"] * quantised.commitment_loss - weight * likelihood
        if self.codebook.moved is not None:
            loss = loss + share * quantised.codebook_loss
        found = self.statistics(quantised, likelihood.detach())
        if self.training:
            rows = encoded.detach()
            if self.codebook.moved is None or self.settings["revive"]:
                self.codebook.average(rows, quantised.codes)
            if self.settings["revive"]:
                self.codebook.revive(rows, noise[0], self.settings["revive"])
        return Objective(loss, found)

    @torch.no_grad()
    def statistics(self, quantised: Quantised, likelihood: Tensor) -> dict[str, Tensor]:
        """The terms of the objective, the share of every code ``[codes]``, and the root mean squared
        norms of the encoder's output and of the codebook."""
        positions = math.prod(self.grid)
        use = code_counts(quantised.codes, self.code_count) / len(quantised.codes)
        return {
            "elbo": likelihood - positions * math.log(self.code_count),
            "reconstruction": likelihood,
            "codebook_loss": quantised.codebook_loss,
            "commitment_loss": quantised.commitment_loss,
            "code_use": use,
            "encoder_norm": quantised.encoded.square().sum(-1).mean().sqrt(),
            "codebook_norm": self.codebook.vectors().square().sum(-1).mean().sqrt(),
        }
