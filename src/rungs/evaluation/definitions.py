"""Definitions of the documents, and names and sizes of stored arrays. Nothing here needs torch."""

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
#: samples and reconstructions that are stored as pictures
PICTURES = 100
#: the same of a model with convolutional networks, whose decoder may draw pixel by pixel
CONVOLUTIONAL_PICTURES = 36
