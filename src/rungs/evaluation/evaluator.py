"""The interface by which the trained models of a family are measured and used.

Evaluation, verification and the Python interface meet a model of any family through its evaluator alone.
The registry's entry of a model names the class (:attr:`rungs.models.ModelEntry.evaluator`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.errors import ConfigError, StoreError
from rungs.evaluation.likelihood import estimate
from rungs.evaluation.materials import Materials
from rungs.evaluation.splits import Split
from rungs.models import entry, load_object
from rungs.models.protocol import draw_noise, noise_sizes
from rungs.study.settings import EvaluationSettings, RunSettings

#: rows (images times draws) that pass the networks at once when a model is used
CHUNK_ROWS = 2000


class Evaluator(ABC):
    """Measures and uses one trained model.

    The methods serve a model p(x, z) whose posterior can be sampled
    (:class:`rungs.models.protocol.LatentVariableModel`). An evaluator of another family overrides those
    that do not fit; every family has its own :meth:`arrays`.

    Args:
        model: the torch module, in test mode, on the CPU.
        settings: the run's resolved settings.
        prior: the prior that was learnt over the model's codes, if any.
    """

    #: the type of the latents that :meth:`images` takes
    latent_dtype = torch.float32

    def __init__(self, model: Any, settings: RunSettings, prior: Any = None) -> None:
        self.model, self.settings, self.prior = model, settings, prior

    @abstractmethod
    def arrays(self, materials: Materials) -> dict[str, Any]:
        """Return everything that is measured on the model: name of a stored array -> the array."""

    def recomputed_images(self, test: Split, count: int) -> Tensor:
        """Return the test images ``[count, pixels]`` whose numbers :meth:`recomputed` computes: the first."""
        return test.x[:count]

    def recomputed(self, x: Tensor, evaluation: EvaluationSettings) -> dict[str, np.ndarray]:
        """Return arrays of :meth:`arrays` again, for some test images alone.

        Args:
            x: those of :meth:`recomputed_images`, ``[images, pixels]``; whole blocks of random numbers,
                unless there are not so many images.
            evaluation: the configuration's ``evaluation`` section as the run sees it.

        Returns:
            The arrays that the registry's entry names as ``verified``. L_k is NaN for images that took fewer
            samples (:func:`rungs.evaluation.two_phase.refined_images`): it was completed by others.
        """
        found = estimate(
            self.model,
            x,
            evaluation["samples"],
            self.settings["seed"],
            evaluation["chunk_rows"],
            refine_every=evaluation.get("refine_every", 1),
        )
        return {"test/lk": found.lk.numpy(), "test/elbo": found.elbo.numpy()}

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """Return draws from the prior of the bottom layer's latents, ``[count, units]``."""
        noise = draw_noise(noise_sizes(self.model), count, generator=random)
        latents: Tensor = self.model.generate(noise)[0]
        return latents

    def latents(self, x: Tensor, random: torch.Generator) -> list[tuple[Tensor, Tensor]]:
        """Return the posterior's mean and a draw of every layer, bottom first, both ``[n, units]``.

        A deterministic encoder's code is both.
        """
        noise = draw_noise(noise_sizes(self.model), len(x), generator=random)
        layers = self.model.draw(self.model.encode(x), noise)
        return [(layer.posterior.mean, layer.sample) for layer in layers]

    def images(self, latents: Tensor, random: torch.Generator) -> Tensor:
        """Return images ``[n, pixels]``, from 0 to 1, of the bottom layer's ``latents [n, units]``.

        Args:
            random: for decoders that draw an image instead of returning its mean.
        """
        return torch.cat([self.model.decode(part) for part in latents.split(CHUNK_ROWS)])

    def bound(self, x: Tensor, k: int, seed: int) -> Tensor:
        """Return the importance weighted bound L_k of each image, float64 ``[n]``, nats.

        Raises:
            ConfigError: if the model has no likelihood.
        """
        if not entry(self.settings["model"]).sampled:
            raise ConfigError(
                f"run {self.settings['run']}: the model {self.settings['model']} has no likelihood."
            )
        return estimate(self.model, x, k, seed, CHUNK_ROWS).lk


def evaluator_of(model: Any, settings: RunSettings, prior: Any = None) -> Evaluator:
    """Return the evaluator of a trained model, by the registry's entry of its family.

    Raises:
        StoreError: for a model that is not one of images, such as the prior of codes.
    """
    location = entry(settings["model"]).evaluator
    if not location:
        raise StoreError(
            f"run {settings['run']}: a model of the kind {settings['model']!r} is no model of images; name "
            "the run that it belongs to."
        )
    evaluator: Evaluator = load_object(location)(model, settings, prior)
    return evaluator
