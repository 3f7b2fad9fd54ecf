"""Ex-post density estimation: a density fitted to the codes of a trained model (Ghosh et al. 2019).

The density is a mixture of Gaussians with full covariances, fitted by scikit-learn's EM.

===================================  ==============================================================
array                                content; n is the number of test images
===================================  ==============================================================
``frechet/fitted_features``          the classifier's features of n samples from a mixture of
                                     :data:`COMPONENTS` Gaussians fitted to the training images'
                                     codes, ``[n, features]``
``frechet/gaussian_features``        the same of one Gaussian
``frechet/reconstruction_features``  the same of the reconstructed test images, which no density over
                                     codes can improve on by much
``frechet/fitted_distance`` ...      their Frechet distances to the test images
``pictures/fitted``                  samples from the fitted mixture, uint8 ``[pictures, pixels]``
===================================  ==============================================================
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits
from torch import Tensor

from rungs.evaluation.classifier import Classifier
from rungs.evaluation.definitions import PICTURES
from rungs.evaluation.frechet import frechet_distance
from rungs.evaluation.pictures import as_bytes
from rungs.numerics.seeds import derive_seed

#: codes with more units have no density fitted to them
MOST_FITTED = 100
#: components of the mixture (Ghosh et al. 2019)
COMPONENTS = 10
#: codes that pass the decoder at once
ROWS = 1000


def fit(x: np.ndarray, components: int, random: np.random.RandomState) -> GaussianMixture:
    """Fit a mixture to ``x [n, units]`` by EM, from the clusters of k-means.

    EM ends when the mean log-density gains less than 1e-3 in an iteration, or after 100. There are at
    most n/2 components.

    Args:
        random: seeds k-means here, and later :func:`sample`.
    """
    mixture = GaussianMixture(max(1, min(components, len(x) // 2)), random_state=random)
    # k-means adds up what its threads found in the order in which they finish
    with threadpool_limits(1, user_api="openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(x.astype(np.float64))


def sample(mixture: GaussianMixture, count: int, random: np.random.RandomState) -> np.ndarray:
    """Draw ``[count, units]`` in random order."""
    # scikit-learn gives the draws component by component
    return np.asarray(random.permutation(mixture.sample(count)[0]))


@torch.no_grad()
def fitted_arrays(
    decode: Any,
    codes: Tensor,
    test_codes: Tensor,
    intensities: Tensor,
    classifier: Classifier | None,
    seed: int,
) -> dict[str, Any]:
    """Compare samples from densities that are fitted to codes with the test images.

    Args:
        decode: returns the mean images of codes.
        codes: of training images, ``[m, units]``: the encoder's output, or one draw of q(z|x) each.
        test_codes: of the test images, for their reconstructions.
        intensities: the test images' intensities.
        classifier: without one there are pictures and no distances.
    """
    units = codes.shape[1]
    if not 1 <= units <= MOST_FITTED:
        return {}
    reference = None if classifier is None else classifier.features(intensities)
    arrays: dict[str, Any] = {}

    def compare(name: str, z: Tensor) -> Tensor:
        images = torch.cat([decode(block) for block in z.split(ROWS)])
        if classifier is not None and reference is not None:
            features = classifier.features(images)
            arrays[f"frechet/{name}_features"] = features
            arrays[f"frechet/{name}_distance"] = frechet_distance(features, reference)[0]
        return images

    for name, count in (("gaussian", 1), ("fitted", COMPONENTS)):
        random = np.random.RandomState(derive_seed(seed, f"{name} density") % 2**32)
        drawn = sample(fit(codes.numpy(), count, random), len(intensities), random)
        images = compare(name, torch.from_numpy(drawn).float())
    arrays["pictures/fitted"] = as_bytes(images[:PICTURES])
    compare("reconstruction", test_codes)
    return arrays
