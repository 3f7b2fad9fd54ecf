"""The evaluation of plain autoencoders, which have no likelihood.

======================================  ===========================================================
array                                   content; n is the number of test images
======================================  ===========================================================
``autoencoder/squared_error``           ``|x - g(f(x))|^2`` of each test image, ``[n]``
``autoencoder/rotated_squared_error``   the same of the test images turned by a right angle (by two if
                                        they are not square). Training showed none of these: only an
                                        identity reconstructs them as well
``autoencoder/pca_squared_error``       of as many principal components of the training images
``layers/1/code``                       the codes, ``[n, units]``, if there are at most 100 units
``pictures/...``                        uint8: ``originals``, ``reconstructions``, ``rotated``,
                                        ``rotated_reconstructions``, ``samples`` of N(0, I)
======================================  ===========================================================

The others are those of :mod:`rungs.evaluation.samples`, :mod:`~rungs.evaluation.latent_space`,
:mod:`~rungs.evaluation.fitted_density` and :mod:`~rungs.evaluation.probe`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.data import shape_of
from rungs.evaluation.definitions import PICTURES
from rungs.evaluation.evaluator import Evaluator
from rungs.evaluation.fitted_density import MOST_FITTED, fitted_arrays
from rungs.evaluation.latent_space import plane_arrays
from rungs.evaluation.materials import Materials
from rungs.evaluation.pictures import as_bytes
from rungs.evaluation.principal_components import as_features, principal_axes, row_blocks
from rungs.evaluation.probe import probe_arrays
from rungs.evaluation.samples import mean_images, sample_arrays
from rungs.evaluation.subsets import drawn
from rungs.study.settings import EvaluationSettings

#: draws that pass the decoder at once for the pictures
ROWS = 1000


class AutoencoderEvaluator(Evaluator):
    """Measures plain autoencoders."""

    def arrays(self, materials: Materials) -> dict[str, Any]:
        """Return errors of reconstruction, samples, pictures of the codes, and the probe."""
        model, settings, evaluation = self.model, self.settings, materials.evaluation
        train, test, classifier = materials.train, materials.test, materials.classifier
        seed, units = settings["seed"], model.latent_sizes[0]
        with torch.no_grad():
            codes, test_codes = model.encode(train.x), model.encode(test.x)
        arrays = {
            **sample_arrays(model, settings, test.x, classifier, evaluation["chunk_rows"]),
            **fitted_arrays(model.decode, codes, test_codes, test.x, classifier, seed),
        }
        if not materials.brief:
            samples = mean_images(model, len(test.x), seed, ROWS)[:PICTURES]
            arrays |= {
                **error_arrays(model, train.x, test.x, list(shape_of(settings))),
                **plane_arrays(model, test_codes[drawn(1, len(test_codes))[0]]),
                "pictures/samples": as_bytes(samples),
            }
        if units <= MOST_FITTED and not materials.brief:
            arrays["layers/1/code"] = test_codes.numpy()
        if test.labelled and units in evaluation.get("probe_latents", ()):
            grey = materials.train_intensities.x, materials.test_intensities.x
            labels = evaluation["probe_labels"]
            arrays |= probe_arrays(
                model, code_of, train, test, grey, labels, seed, materials.probed
            )
        return arrays

    def recomputed(self, x: Tensor, evaluation: EvaluationSettings) -> dict[str, np.ndarray]:
        """Return the squared errors of the first test images again."""
        return {"autoencoder/squared_error": squared_error(self.model, x)}

    def latents(self, x: Tensor, random: torch.Generator) -> list[tuple[Tensor, Tensor]]:
        """Return the codes, ``[n, units]``, twice: they are their own draws."""
        code = code_of(self.model, x)
        return [(code, code)]


def code_of(model: Any, x: Tensor) -> Tensor:
    """Return the code of ``x [n, pixels]``, ``[n, units]``."""
    code: Tensor = model.encode(x)
    return code


@torch.no_grad()
def squared_error(model: Any, x: Tensor) -> np.ndarray:
    """Return ``|x - g(f(x))|^2`` of each image of ``x [n, pixels]``, ``[n]``."""
    return np.asarray((model.outputs(model.encode(x)) - x).square().sum(1).numpy())


@torch.no_grad()
def error_arrays(model: Any, train: Tensor, test: Tensor, shape: list[int]) -> dict[str, Any]:
    """Return errors of reconstruction, and pictures of some.

    Args:
        shape: of an image, ``[height, width]`` or ``[height, width, channels]``.
    """
    turns = 1 if shape[0] == shape[1] else 2
    rotated = torch.rot90(test.reshape(-1, *shape), turns, (1, 2)).flatten(1)
    shown = torch.from_numpy(drawn(PICTURES, len(test)))

    def reconstructed(x: Tensor) -> np.ndarray:
        return as_bytes(model.decode(model.encode(x[shown])))

    return {
        "autoencoder/squared_error": squared_error(model, test),
        "autoencoder/rotated_squared_error": squared_error(model, rotated),
        "autoencoder/pca_squared_error": pca_error(train, test, model.latent_sizes[0]),
        "pictures/originals": as_bytes(test[shown]),
        "pictures/reconstructions": reconstructed(test),
        "pictures/rotated": as_bytes(rotated[shown]),
        "pictures/rotated_reconstructions": reconstructed(rotated),
    }


def pca_error(train: Tensor, test: Tensor, components: int) -> np.ndarray:
    """Return the squared error of each test image's projection on principal components, ``[n]``.

    The components are the first of the training images: no linear autoencoder of this size has a smaller
    error over them.
    """
    query = as_features(test)
    centre, axes = principal_axes(as_features(train), components)
    errors = []
    for rows in row_blocks(query):
        left = query[rows] - centre
        errors.append(np.square(left - left @ axes @ axes.T).sum(1))
    return np.concatenate(errors)
