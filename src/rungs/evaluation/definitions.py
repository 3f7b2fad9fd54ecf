"""Definitions of the documents, and names and sizes of stored arrays. Nothing here needs torch."""

from fnmatch import fnmatchcase

#: a unit is active if its term of the ELBO exceeds this on average, nats (Sonderby et al. 2016)
ACTIVE_KL = 0.01
#: the same by ``A_u = Var_x(E_q[u|x])`` (Burda et al. 2016)
ACTIVE_VARIANCE = 0.01
#: how the aggregate posterior of a layer is known (see :mod:`rungs.evaluation.aggregate`)
POSTERIOR_KINDS = ("exact", "conditional", "points")
#: columns of the stored moments of a latent
MOMENTS = (
    *("mean", "variance_of_mean", "mean_variance", "second_moment_sum"),
    *("skewness", "kurtosis", "ks_statistic", "ks_error"),
)
#: the array with the training objective of a run's learnt prior, of every epoch
PRIOR_OBJECTIVE = "prior/objective"
#: the arrays that claims read (:mod:`rungs.claims.arrays` defines them), ``*`` standing for any text: all
#: that is kept of the evaluation before a run's continuation
CLAIMED = (
    *("test/lk", "test/lk_gap", "test/nested_k", "test/elbo", "test/labels", "test/codes"),
    *("test/reconstruction", "test/swapped", "test/encoder_square", "test/kl", "test/mse"),
    *("layers/*/image_kl", "layers/*/kl", "layers/*/knn_correct", "layers/*/train_moments"),
    *("layers/*/posterior_mean", "layers/*/posterior_variance"),
    *("average/model", "average/train", "frechet/test_features", "frechet/sample_features"),
    *("frechet/fitted_features", "frechet/reconstruction_features", "frechet/active_features"),
    *("samples/confidence", "components/weights", "components/label", "components/confidence"),
    *("posterior/components", "lines/log_density", "probe/*/correct/*", "stationarity/r"),
    *("rescaled/factors", "rescaled/start", "rescaled/end", "codebook", PRIOR_OBJECTIVE),
)
#: samples and reconstructions that are stored as pictures
PICTURES = 100
#: the same of a model with convolutional networks, whose decoder may draw pixel by pixel
CONVOLUTIONAL_PICTURES = 36


def is_claimed(name: str) -> bool:
    """Return whether claims read an array of this name.

    >>> [is_claimed(name) for name in ("layers/2/kl", "layers/2/sample", "frechet/test_features")]
    [True, False, True]
    """
    return any(fnmatchcase(name, pattern) for pattern in CLAIMED)
