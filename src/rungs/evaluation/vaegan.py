"""The evaluation of the VAE/GAN, which has no likelihood.

The arrays are those of :mod:`rungs.evaluation.samples`, :mod:`~rungs.evaluation.latent_space`,
:mod:`~rungs.evaluation.lines` and :mod:`~rungs.evaluation.mixture_prior`, pictures as in
:mod:`~rungs.evaluation.pictures`, and ``average/train``, the mean training image, ``[pixels]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.evaluation.definitions import PICTURES
from rungs.evaluation.evaluator import Evaluator
from rungs.evaluation.latent_space import interpolation_arrays
from rungs.evaluation.lines import line_arrays
from rungs.evaluation.materials import Materials
from rungs.evaluation.mixture_prior import component_arrays
from rungs.evaluation.pictures import as_bytes
from rungs.evaluation.samples import mean_images, sample_arrays
from rungs.evaluation.splits import Split
from rungs.study.settings import EvaluationSettings


class VAEGANEvaluator(Evaluator):
    """Measures VAE/GANs: samples, reconstructions and components of the prior."""

    @torch.no_grad()
    def arrays(self, materials: Materials) -> dict[str, Any]:
        """Return samples, reconstructions, lines between images, and the prior's components."""
        model, settings, rows = self.model, self.settings, materials.evaluation["chunk_rows"]
        test, classifier = materials.test, materials.classifier
        found = {
            "average/train": materials.average,
            **sample_arrays(model, settings, test.x, classifier, rows),
            **component_arrays(model, test, classifier),
            **line_arrays(model, test, settings["seed"], rows),
        }
        if materials.brief:
            return found
        originals = test.shown(PICTURES)
        return {
            **found,
            "pictures/samples": as_bytes(mean_images(model, PICTURES, settings["seed"], rows)),
            "pictures/originals": as_bytes(originals),
            "pictures/reconstructions": reconstructions(model, originals),
            **interpolation_arrays(model, test),
        }

    def recomputed_images(self, test: Split, count: int) -> Tensor:
        """Return the test images whose reconstructions are stored, whatever their number."""
        return test.shown(PICTURES)

    def recomputed(self, x: Tensor, evaluation: EvaluationSettings) -> dict[str, np.ndarray]:
        """Return the stored reconstructions again."""
        return {"pictures/reconstructions": reconstructions(self.model, x)}

    def latents(self, x: Tensor, random: torch.Generator) -> list[tuple[Tensor, Tensor]]:
        """Return the posterior means, ``[n, units]``, twice: the stored reconstructions are theirs."""
        mean = self.model.encode(x)[0].mean
        return [(mean, mean)]


@torch.no_grad()
def reconstructions(model: Any, x: Tensor) -> np.ndarray:
    """Return the reconstructions of ``x [n, pixels]``, uint8 ``[n, pixels]``."""
    return as_bytes(model.decode(model.encode(x)[0].mean))
