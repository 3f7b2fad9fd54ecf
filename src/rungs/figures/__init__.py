"""The registry of figures. A further figure is one module and one line here.

Each module has ``draw(files, settings) -> matplotlib.figure.Figure``. Figures read stored
results only: they never train, never load a model, and never know which profile they are in.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A figure: its module, its document, what it is made from, and what it shows."""

    module: str
    document: str | None
    needs: tuple[str, ...]
    title: str
    #: files of ``resources/`` that it reads
    resources: tuple[str, ...] = ()


FIGURES = {
    "ladder_loglik": Entry(
        "rungs.figures.ladder_loglik",
        "ladder",
        ("training", "evaluation"),
        "Train ELBO, test ELBO and test L_k against the number of stochastic layers",
        resources=("published.csv",),
    ),
    "ladder_ablation": Entry(
        "rungs.figures.ladder_ablation",
        "ladder",
        ("evaluation",),
        "Batch norm and warm-up, on and off, for VAE and ladder VAE at depth 5",
    ),
    "ladder_kl_history": Entry(
        "rungs.figures.ladder_kl_history",
        "ladder",
        ("training",),
        "KL of every unit against epoch, layer by layer",
    ),
    "active_units_history": Entry(
        "rungs.figures.active_units_history",
        "ladder",
        ("training",),
        "Active units of each layer against epoch",
    ),
    "ladder_pca": Entry(
        "rungs.figures.ladder_pca",
        "ladder",
        ("evaluation",),
        "First two principal components of each layer's latents, coloured by class",
    ),
    "ladder_samples": Entry(
        "rungs.figures.ladder_samples",
        "ladder",
        ("evaluation",),
        "Samples from the prior",
    ),
    "ladder_reconstructions": Entry(
        "rungs.figures.ladder_reconstructions",
        "ladder",
        ("evaluation",),
        "Test images and their reconstructions",
    ),
    "ladder_depth": Entry(
        "rungs.figures.ladder_depth",
        "ladder",
        ("training", "evaluation"),
        "Bound and active layers against depth, beyond the paper's five",
        resources=("published.csv",),
    ),
    "likelihood_calibration": Entry(
        "rungs.figures.likelihood_calibration",
        None,
        ("calibration", "evaluation"),
        "L_k against k where log p(x) is known, and on a trained model of each family",
    ),
    "mixture_samples": Entry(
        "rungs.figures.mixture_samples",
        "mixture",
        ("evaluation",),
        "Samples under Gaussian, mixture and VampPrior, and lines between two images",
    ),
    "mixture_components": Entry(
        "rungs.figures.mixture_components",
        "mixture",
        ("evaluation",),
        "Images of the heaviest components, and how the classes share them",
    ),
    "mixture_kl": Entry(
        "rungs.figures.mixture_kl",
        "mixture",
        ("evaluation",),
        "Estimates of the KL to a mixture prior, their bias and spread",
    ),
    "latent_dimension": Entry(
        "rungs.figures.latent_dimension",
        "mixture",
        ("evaluation",),
        "Likelihood and samples against the number of latent units",
    ),
    "vq_reconstructions": Entry(
        "rungs.figures.vq_reconstructions",
        "vq",
        ("evaluation",),
        "VQ-VAE: test images and their reconstructions",
    ),
    "vq_samples": Entry(
        "rungs.figures.vq_samples",
        "vq",
        ("evaluation",),
        "VQ-VAE: samples through the learnt prior over codes",
    ),
    "vq_codebook": Entry(
        "rungs.figures.vq_codebook",
        "vq",
        ("training", "evaluation"),
        "VQ-VAE: use of every code, perplexity of the codebook, growth of the encoder's output",
    ),
    "vae_samples": Entry(
        "rungs.figures.vae_samples",
        "vae",
        ("evaluation",),
        "Samples of plain autoencoders and VAEs, by N(0, I) and by a mixture fitted to the codes",
    ),
    "vae_manifold": Entry(
        "rungs.figures.vae_manifold",
        "vae",
        ("evaluation",),
        "Decoded lattice of prior quantiles over a plane of two latents",
    ),
    "latent_traversal": Entry(
        "rungs.figures.latent_traversal",
        "vae",
        ("evaluation",),
        "One latent varied at a time",
    ),
    "autoencoder_identity": Entry(
        "rungs.figures.autoencoder_identity",
        "vae",
        ("evaluation",),
        "Autoencoders narrower than and as wide as their input, on digits and on turned digits",
    ),
    "latent_scatter": Entry(
        "rungs.figures.latent_scatter",
        "moments",
        ("evaluation",),
        "100 test digits in the plane of two latents: posterior means with one-sigma ellipses",
    ),
    "aggregate_posterior": Entry(
        "rungs.figures.aggregate_posterior",
        "moments",
        ("evaluation",),
        "Aggregate posterior of each latent against N(0, 1), with its quantile-quantile plot",
    ),
    "kl_fixed_ratio": Entry(
        "rungs.figures.kl_fixed_ratio",
        "moments",
        ("evaluation",),
        "KL at a fixed ratio of deviation and mean, and trained latents on it and rescaled",
    ),
    "overpruning": Entry(
        "rungs.figures.overpruning",
        "moments",
        ("evaluation",),
        "Active and inactive latents against the latent dimension",
    ),
}
