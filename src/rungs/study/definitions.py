"""The documents' definitions, each in one place."""

#: a unit is active if its term of the ELBO exceeds this on average, nats (Sonderby et al. 2016)
ACTIVE_KL = 0.01
#: the same by ``A_u = Var_x(E_q[u|x])`` (Burda et al. 2016)
ACTIVE_VARIANCE = 0.01
#: Test images that share a random stream of the likelihood. An image's estimate depends on its
#: block, not on how the blocks are shared out among jobs.
LIKELIHOOD_BLOCK = 50
#: how a layer's aggregate posterior is known (see :mod:`rungs.evaluation.aggregate`)
POSTERIOR_KINDS = ("exact", "conditional", "points")
#: columns of the stored moments of a latent
MOMENTS = (
    *("mean", "variance_of_mean", "mean_variance", "second_moment_sum"),
    *("skewness", "kurtosis", "ks_statistic", "ks_error"),
)
