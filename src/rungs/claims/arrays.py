"""The arrays of an evaluation that the claims read; the interface between the two rooms.

n is the number of test images, S of a latent is ``Var(mu) + E[sigma^2]`` over all training images. The
same arrays, computed on the weights at the end of the schedule, have names that begin with ``before/``
(:data:`rungs.study.layout.BEFORE`). An array that an evaluation lacks makes the parts that need it undecided.

==============================  ==============  =======================================================
array                           shape           definition
==============================  ==============  =======================================================
``test/lk``, ``test/elbo``      ``[n]``         L_k and L_1 of each test image, nats
``test/lk_gap``                 ``[n]``, ``[]``  estimate of ``log p(x) - L_k``, at least 0, nats; absent
                                                where there is none
``test/nested_k``               ``[ks]``        numbers of samples, the last that of L_k; 1 where L_k is no
                                                estimate
``test/labels``                 ``[n]``         class, or -1
``layers/<i>/image_kl``         ``[n, units]``  KL of each unit, nats
``layers/<i>/kl``               ``[units]``     the same, averaged over the test images
``layers/<i>/knn_correct``      ``[n]``         whether the nearest training images tell the class
``layers/<i>/train_moments``    ``[units, 8]``  the columns :data:`~rungs.evaluation.definitions.MOMENTS`,
                                                over *all* training images, the population of the claims,
                                                where they are exact
``layers/<i>/posterior_mean``   ``[n, units]``  mean of q(z|x); ``posterior_variance`` likewise
``average/model``               ``[pixels]``    mean of the samples; ``average/train`` of the training
                                                images; intensities from 0 to 1
``frechet/test_features``       ``[n, f]``      classifier's features of the test images
``frechet/sample_features``     ``[n, f]``      of n samples
``frechet/fitted_features``     ``[n, f]``      of n samples of a mixture fitted to the codes
``frechet/reconstruction_...``  ``[n, f]``      of the test images' reconstructions
``frechet/active_features``     ``[n, f]``      of the samples of ``frechet/sample_features``, decoded from
                                                the same latents with the inactive ones (mean KL at most
                                                0.01 nats) set to their prior mean
``samples/confidence``          ``[n]``         highest class probability of each sample
``components/weights``          ``[K]``         of a mixture prior; ``components/label`` and
                                                ``components/confidence``: the classifier's class of each
                                                decoded mean, and its probability
``posterior/components``        ``[n]``         exp of the information I(c; z) between component and latent
                                                of a mixture posterior
``lines/log_density``           ``[lines, p]``  log p(z) at p equidistant points of straight lines between
                                                the posterior means of two test images of different
                                                classes, ends included, nats; 100 lines and 51 points at
                                                least
``probe/<m>/correct/<kind>``    ``[draws, n]``  whether each test image is classified rightly, for each draw
                                                of m labelled images a class; kinds: ``encoder`` and
                                                ``grey``, one and the same probe on the frozen code and on
                                                the grey intensities, each centred and scaled;
                                                ``finetuned`` and ``random``, a network that starts from
                                                the encoder or at random. The draws are those of the
                                                other kinds; :data:`LABEL_DRAWS` at least
``stationarity/r``              ``[b, units]``  ``E[z_j d/dz_j log p(x|z)]`` at the decoder's input, z drawn
                                                from q(z|x): the derivative of the expected reconstruction
                                                by the logarithm of the scale of latent j, nats; b times over
                                                all training images, the population, with draws of their
                                                own, b at least :data:`BATCHES`: disjoint batches of
                                                images would show how images differ (0.1 nats with 4,000),
                                                which is no error of R. The encoder is stationary in
                                                scale where S - 1 = R, the decoder where R = 0
``rescaled/factors``            ``[2]``         0.8 and 1.25
``rescaled/start``              ``[2, units]``  S after every latent was multiplied by the factor, which the
                                                next layer undoes
``rescaled/end``                ``[2, units]``  S after the model then trained on, as long as its
                                                continuation
``test/codes``                  ``[n, places]`` of a VQ-VAE; ``codebook`` ``[codes, dim]``
``test/reconstruction``         ``[n]``         log p(x|z) of each test image with its codes, or with one
                                                draw of its latents, nats; ``test/swapped`` with those of
                                                another test image
``test/encoder_square``         ``[n]``         mean squared norm of the encoder's output vectors
``test/kl``                     ``[n]``         KL of a continuous VAE, nats
``test/mse``                    ``[n]``         mean squared error of each test image's reconstruction,
                                                intensities from 0 to 1
``prior/objective``             ``[epochs]``    of a prior learnt over the codes; absent where p(codes) in
                                                ``test/lk`` is uniform
==============================  ==============  =======================================================

Evidence (:mod:`rungs.exchange.reduction`) holds, in the place of features and posteriors of many images,
what claims compute of them: ``frechet/<samples>_distances`` ``[1 + resamples]`` and
``layers/1/kurtosis_resamples`` ``[1 + resamples, units]``, by uniform weights and for each resample.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from rungs.claims.resampling import Resampling, resamples_of
from rungs.errors import StoreError
from rungs.evaluation.definitions import ACTIVE_KL, CLAIMED
from rungs.evaluation.frechet import frechet_distance
from rungs.storage.result_file import Stored
from rungs.study.settings import settings_of

#: draws of labelled images over which a probe's accuracy is averaged, at least
LABEL_DRAWS = 20
#: independent estimates of R, over which its error is known, at least
BATCHES = 20

#: what an evaluation lacks where the data set has no labels
OF_LABELS = ("frechet/", "samples/", "components/", "probe/", "lines/", "/knn_correct")
LK, LK_GAP = "test/lk", "test/lk_gap"
#: the numbers of samples of the nested bounds, the last that of L_k
LK_SAMPLES = "test/nested_k"
#: Frechet distances of some samples, and the kurtosis of latents, of every resample, in evidence
DISTANCES, KURTOSIS = "frechet/{}_distances", "layers/1/kurtosis_resamples"
#: the kinds of samples that are compared with the test images
SAMPLES = ("sample", "fitted", "reconstruction", "active")
#: names and prefixes of the arrays above, all that has to be read of a file
READ = (
    *dict.fromkeys(pattern.partition("*")[0] for pattern in CLAIMED),
    *map(DISTANCES.format, SAMPLES),
)


def needed(evaluation: Stored, name: str, least: int = 1) -> np.ndarray:
    """Return an array as float64.

    Args:
        name: of the array.
        least: rows that it must have.

    Raises:
        StoreError: if the evaluation has no such array, or one with fewer rows; the message is the basis
            of a verdict.
    """
    run = evaluation.attributes["run"]["run"] if "run" in evaluation.attributes else evaluation.path
    if name not in evaluation.arrays:
        raise StoreError(f"the evaluation of {run} lacks {name}")
    found = evaluation.arrays[name]
    if found.ndim and len(found) < least:
        raise StoreError(f"the evaluation of {run} has {len(found)} rows of {name}, not {least}")
    return found.astype(np.float64)


def dimensions(evaluation: Stored) -> int:
    """Return the dimensions of an image, of a run whose network has their shape."""
    shape: list[int] = settings_of(evaluation)["network"]["shape"]
    return math.prod(shape)


def image_mean(evaluation: Stored, name: str, resampling: Resampling) -> np.ndarray:
    """Return the mean over test images of an array ``[n, ...]``, ``[resamples, ...]``."""
    values = needed(evaluation, name)
    return np.asarray(resampling("images", len(values)) @ values)


def bound(evaluation: Stored, resampling: Resampling) -> np.ndarray:
    """Return the mean L_k, ``[resamples]``, nats."""
    return image_mean(evaluation, LK, resampling)


def frechet(evaluation: Stored, resampling: Resampling, samples: str = "sample") -> np.ndarray:
    """Return the Frechet distance of some samples to the test images, both resampled, ``[resamples]``.

    Args:
        samples: one of :data:`SAMPLES`.
    """
    if (stored := DISTANCES.format(samples)) in evaluation.arrays:
        return resamples_of(evaluation.arrays[stored], resampling)
    names = [f"frechet/{name}_features" for name in (samples, "test")]
    for name in names:
        needed(evaluation, name)
    drawn, reference = (_Same(evaluation.arrays[name]) for name in names)
    return _distance(drawn, reference, resampling.chunk)


@dataclass(frozen=True, eq=False)
class _Same:
    """An array that equals itself only, so that what is computed from it can be kept."""

    array: np.ndarray

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.array is other.array

    def __hash__(self) -> int:
        return id(self.array)


@functools.lru_cache(maxsize=2000)
def _distance(drawn: _Same, reference: _Same, chunk: int | None) -> np.ndarray:
    """Return a distance, computed once: several claims compare the same samples."""
    resampling = Resampling(chunk)
    weights = resampling("samples", len(drawn.array)), resampling("images", len(reference.array))
    return frechet_distance(drawn.array, reference.array, *weights)


def inactive(evaluation: Stored, resampling: Resampling) -> np.ndarray:
    """Return the number of latents of a single layer whose mean KL is at most 0.01 nats,
    ``[resamples]``."""
    kl = image_mean(evaluation, "layers/1/image_kl", resampling)
    return np.count_nonzero(kl <= ACTIVE_KL, axis=1)


def closed(evaluation: Stored) -> Stored:
    """Return the evaluation with its estimated gap added to every L_k; itself where there is none."""
    if LK not in evaluation.arrays or LK_GAP not in evaluation.arrays:
        return evaluation
    return raised(evaluation, evaluation.arrays[LK_GAP])


def raised(evaluation: Stored, nats: np.ndarray | float) -> Stored:
    """Return the evaluation with some nats added to every L_k."""
    lk = evaluation.arrays[LK].astype(np.float64) + nats
    return replace(evaluation, arrays=evaluation.arrays | {LK: lk})


def gap_is_missing(evaluation: Stored) -> bool:
    """Return whether L_k is an estimate by several samples of which nothing estimates what it lacks."""
    arrays = evaluation.arrays
    sampled = LK_SAMPLES in arrays and int(arrays[LK_SAMPLES][-1]) > 1
    return LK in arrays and sampled and LK_GAP not in arrays
