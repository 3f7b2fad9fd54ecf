"""The units that a model uses, by two definitions.

- KL: the unit's term of the ELBO, averaged over images, exceeds 0.01 nats (Sonderby et al. 2016).
- Variance: ``A_u = Var_x(E_q[u|x])`` exceeds 0.01 (Burda et al. 2016). A unit of a ladder VAE
  that only copies its prior passes this and has KL 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rungs.models.protocol import LatentVariableModel, draw_noise, noise_sizes
from rungs.numerics.seeds import generator
from rungs.study.settings import EvaluationSettings, RunSettings


@dataclass(frozen=True)
class UnitStatistics:
    """Statistics of every unit, a list entry a layer, bottom first.

    Attributes:
        image_kl: KL of each image, averaged over draws, ``[images, terms]``, nats. There is a term a
            unit, or one for a layer whose prior or posterior does not factorise.
        kl: its mean over images, ``[terms]``, nats.
        active_variance: Burda's A_u, ``[units]``.
    """

    image_kl: list[Tensor]
    kl: list[Tensor]
    active_variance: list[Tensor]


@torch.no_grad()
def unit_statistics(
    model: LatentVariableModel,
    x: Tensor,
    draws: int,
    random: torch.Generator,
    chunk_rows: int,
) -> UnitStatistics:
    """Average the units' terms over images and draws.

    Above the layer that is inferred first, ``E_q[u|x]`` is itself an average over draws of the
    layers below; its sampling variance, (variance over draws)/draws, is subtracted from A_u.

    Args:
        x: ``[images, pixels]``.
        draws: per image, at least 2.
    """
    units = sum(model.latent_sizes)
    within = torch.zeros(units, dtype=torch.float64)
    averages, kl = [], []
    terms_of: list[int] = []
    for block in x.split(max(1, chunk_rows // draws)):
        noise = draw_noise(noise_sizes(model), draws, len(block), generator=random)
        layers = model.draw(model.encode(block), noise)
        shape = (draws, len(block), -1)
        terms = torch.cat([layer.kl().expand(shape) for layer in layers], -1)
        terms_of = [layer.kl().shape[-1] for layer in layers]
        means = torch.cat([layer.posterior.mean.expand(shape) for layer in layers], -1).double()
        kl.append(terms.double().mean(0))
        within += means.var(0).sum(0) / draws
        averages.append(means.mean(0))
    variance = torch.cat(averages).var(0) - within / len(x)
    image_kl, sizes = torch.cat(kl), model.latent_sizes
    return UnitStatistics(
        list(image_kl.split(terms_of, -1)),
        list(image_kl.mean(0).split(terms_of)),
        list(variance.split(sizes)),
    )


def unit_arrays(
    model: LatentVariableModel, settings: RunSettings, x: Tensor, evaluation: EvaluationSettings
) -> dict[str, Any]:
    """Return KL and activity of each unit, layer by layer, over the test images ``x [n, pixels]``.

    ``layers/<i>/image_kl`` is the KL of each image, ``[n, terms]`` nats, ``layers/<i>/kl`` its mean,
    ``layers/<i>/active_variance`` Burda's A_u.
    """
    random = generator(settings["seed"], "units")
    draws, rows = evaluation["unit_samples"], evaluation["chunk_rows"]
    found = unit_statistics(model, x, draws, random, rows)
    arrays: dict[str, Any] = {}
    for i, (image_kl, kl, variance) in enumerate(
        zip(found.image_kl, found.kl, found.active_variance, strict=True), 1
    ):
        arrays[f"layers/{i}/image_kl"] = image_kl.float()
        arrays[f"layers/{i}/kl"] = kl
        arrays[f"layers/{i}/active_variance"] = variance
    return arrays
