"""Latents that are rescaled and trained on: whether their scale returns (Asperti 2019).

======================  =================  ==========================================================
array                   shape              content; S of a latent is ``Var(mu) + E[sigma^2]`` over all
                                           training images
======================  =================  ==========================================================
``rescaled/factors``    ``[2]``            by which mean and deviation of every latent are multiplied
``rescaled/start``      ``[2, units]``     S then, the layer after the latents undoing the factor
``rescaled/end``        ``[2, units]``     S after training on as long, and with the same learning
                                           rates, as the continuation of a run
======================  =================  ==========================================================

The evaluation of a run has them where its configuration says ``evaluation.rescale``.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from rungs.evaluation.materials import Materials
from rungs.evaluation.moments import moments
from rungs.numerics.seeds import generator
from rungs.probability.gaussian import DiagonalGaussian
from rungs.probability.mixture import Mixture
from rungs.study.settings import RunSettings
from rungs.training.loop import train_epochs
from rungs.training.schedules import continuation_epochs, continuation_recipe
from rungs.training.trainer import Trainer

FACTORS = (0.8, 1.25)


class ScaledHead(nn.Module):
    """A posterior's head whose mean and deviation are multiplied by a constant.

    The factor cannot be put into the head's weights: the variance is a softplus of its outputs, and with
    batch norm the outputs do not depend on the weights' scale.
    """

    def __init__(self, head: nn.Module, factor: float) -> None:
        super().__init__()
        self.head, self.factor = head, factor

    def forward(self, hidden: Tensor) -> DiagonalGaussian:
        """A Gaussian over ``[..., units]``."""
        inner = self.head(hidden)
        return DiagonalGaussian(self.factor * inner.mean, self.factor**2 * inner.variance)


def rescale(model: Any, factor: float) -> None:
    """Multiply every latent of a single-layer model by a factor, and let the next layer undo it."""
    model.head = ScaledHead(model.head, factor)
    model.undo_scale(factor)


def rescaled_training_arrays(
    model: Any, settings: RunSettings, materials: Materials, factors: tuple[float, ...] = FACTORS
) -> dict[str, Any]:
    """Return S of rescaled latents before and after they are trained on.

    Posteriors that are not diagonal, mixture priors and runs without continuation have none of these
    arrays.
    """
    if not continuation_epochs(settings["training"]):
        return {}
    x, rows = materials.population.x, materials.evaluation["chunk_rows"]
    with torch.no_grad():
        posterior, prior = model.encode(x[:2])
    if not isinstance(posterior, DiagonalGaussian) or isinstance(prior, Mixture) or not model.units:
        return {}
    images = materials.training_images()
    start, end = [], []
    for factor in factors:
        trainer = _trainer(model, settings, images)
        rescale(trainer.model, factor)
        start.append(second_moments(trainer.model.eval(), x, rows))
        train_epochs([trainer], lambda: None)
        trainer.finish()
        end.append(second_moments(trainer.model, x, rows))
    return {
        "rescaled/factors": np.array(factors),
        "rescaled/start": np.stack(start),
        "rescaled/end": np.stack(end),
    }


def _trainer(model: Any, settings: RunSettings, images: Tensor) -> Trainer:
    """Return a trainer of a copy of a trained model, with the recipe of a continuation."""
    recipe = continuation_recipe(settings["training"])
    trainer = Trainer(cast(RunSettings, {**settings, "training": recipe}), images, "cpu")
    trainer.model.load_state_dict(model.state_dict())
    trainer.generator = generator(settings["seed"], "rescaled")
    return trainer


@torch.no_grad()
def second_moments(model: Any, x: Tensor, rows: int) -> np.ndarray:
    """Return S of every latent over the images ``x [n, pixels]``, float64 ``[units]``."""
    posteriors = [model.posterior(block) for block in x.split(rows)]
    mean, variance = (
        torch.cat([getattr(posterior, name) for posterior in posteriors]).numpy()
        for name in ("mean", "variance")
    )
    return moments(mean, variance).variance
