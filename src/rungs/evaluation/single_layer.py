"""The evaluation of models with one stochastic layer.

Beside the arrays of every hierarchy there are those of :mod:`rungs.evaluation.samples`,
:mod:`~rungs.evaluation.lines`, :mod:`~rungs.evaluation.mixture_prior`,
:mod:`~rungs.evaluation.posterior_shape`, :mod:`~rungs.evaluation.latent_space`,
:mod:`~rungs.evaluation.fitted_density`, :mod:`~rungs.evaluation.probe`,
:mod:`~rungs.evaluation.stationarity` and :mod:`~rungs.evaluation.rescaled_training`, and
``average/train``, the mean training image, ``[pixels]``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rungs.evaluation.fitted_density import fitted_arrays
from rungs.evaluation.hierarchical import HierarchicalEvaluator
from rungs.evaluation.latent_space import (
    interpolation_arrays,
    plane_arrays,
    rescaled_arrays,
    scale_arrays,
)
from rungs.evaluation.lines import line_arrays
from rungs.evaluation.materials import Materials
from rungs.evaluation.mixture_prior import component_arrays, divergence_arrays
from rungs.evaluation.posterior_shape import shape_arrays
from rungs.evaluation.probe import probe_arrays
from rungs.evaluation.rescaled_training import rescaled_training_arrays
from rungs.evaluation.samples import active_arrays, sample_arrays
from rungs.evaluation.stationarity import stationarity_arrays
from rungs.models.protocol import draw_noise, noise_sizes
from rungs.numerics.seeds import generator
from rungs.study.settings import RunSettings


class SingleLayerEvaluator(HierarchicalEvaluator):
    """Measures VAEs with one stochastic layer, of any prior, posterior and likelihood."""

    def arrays(self, materials: Materials) -> dict[str, Any]:
        """Return the arrays of a hierarchy, and those that need a single layer."""
        model, settings, test = self.model, self.settings, materials.test
        classifier, rows = materials.classifier, materials.evaluation["chunk_rows"]
        arrays = super().arrays(materials)
        found = {
            **arrays,
            "average/train": materials.average,
            **sample_arrays(model, settings, materials.test_intensities.x, classifier, rows),
            **active_arrays(model, settings, arrays["layers/1/kl"], len(test.x), classifier, rows),
            **line_arrays(model, test, settings["seed"], rows),
            **component_arrays(model, test, classifier),
            **shape_arrays(model, settings, test.x, rows),
            **latent_arrays(model, settings, materials),
            **stationarity_arrays(model, settings, materials),
            **(
                rescaled_training_arrays(model, settings, materials)
                if materials.evaluation.get("rescale", False)
                else {}
            ),
        }
        if materials.brief:
            return found
        return {
            **found,
            **interpolation_arrays(model, test),
            **divergence_arrays(model, settings, test),
        }


@torch.no_grad()
def latent_arrays(model: Any, settings: RunSettings, materials: Materials) -> dict[str, Any]:
    """Return pictures of the latent space, rescaled latents, samples of a fitted density, and the probe."""
    if model.units == 0:
        return {}
    train, test, evaluation = materials.train, materials.test, materials.evaluation
    intensities, classifier = materials.test_intensities.x, materials.classifier
    seed, rows = settings["seed"], evaluation["chunk_rows"]
    random = generator(seed, "codes")

    def draw(x: Tensor) -> Tensor:
        noise = draw_noise(noise_sizes(model), len(x), generator=random)
        sample: Tensor = model.draw(model.encode(x), noise)[0].sample
        return sample

    codes, test_codes = draw(train.x), draw(test.x)
    arrays = fitted_arrays(model.decode, codes, test_codes, intensities, classifier, seed)
    if not materials.brief:
        arrays |= plane_arrays(model, code_of(model, test.shown(1))[0])
        arrays |= rescaled_arrays(model, test.x, seed, rows)
        arrays |= scale_arrays(model, test.x)
    if test.labelled and model.units in evaluation.get("probe_latents", ()):
        with torch.enable_grad():
            grey = materials.train_intensities.x, intensities
            labels = evaluation["probe_labels"]
            arrays |= probe_arrays(
                model, code_of, train, test, grey, labels, seed, materials.probed
            )
    return arrays


def code_of(model: Any, x: Tensor) -> Tensor:
    """Return the posterior means of ``x [n, pixels]``, ``[n, units]``."""
    code: Tensor = model.posterior(x).mean
    return code
