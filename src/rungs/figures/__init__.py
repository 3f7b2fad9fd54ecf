"""Figures of stored results, as PNG and PDF.

This module is their registry: a further figure is one module with
``draw(files, settings) -> matplotlib.figure.Figure`` and one line here, and its settings in
``config/common.yaml``. Figures read stored results only: they never train, never load a model, and
never know which profile they are in. The room may import tables and the rooms below it; jobs and
every room above may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rungs.errors import ConfigError

#: the description in the PNG file of a figure of which a profile has no runs
BLANK = "nothing to show"


@dataclass(frozen=True)
class Example:
    """Runs that would fill a figure, for a profile that has none.

    Attributes:
        kind: what is shown of any of them, in words.
        axis: the key of a grid that has their sizes: ``depths``, ``latents`` or ``codes``.
    """

    kind: str
    variants: tuple[str, ...]
    axis: str
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class FigureEntry:
    """A figure: its module, its document, what it is made from, and what it shows."""

    module: str
    document: str | None
    needs: tuple[str, ...]
    title: str
    #: for its caption in the report: what to look for; a change remakes the report only
    look_for: str = ""
    #: files of ``resources/`` that it reads
    resources: tuple[str, ...] = ()
    #: what the report offers where there is nothing to show; by default the first of its settings
    example: Example | None = None


DEEP = Example("a run of a deep VAE or ladder VAE", ("vae",), "depths", (5,))
QUANTISED = Example("a run of a VQ-VAE", ("vq",), "codes", (64,))
MIXTURE = Example("a run of a VAE with a mixture prior", ("mog",), "latents", (10,))
PLANE = Example("a run of a VAE with two latents", ("gauss",), "latents", (2,))
SINGLE = Example("a run of a VAE with one stochastic layer", ("gauss",), "latents", (10,))

FIGURES = {
    "ladder_loglik": FigureEntry(
        "rungs.figures.ladder_loglik",
        "ladder",
        ("training", "evaluation"),
        "Train ELBO, test ELBO and test L_k against the number of stochastic layers",
        look_for=(
            "The plain VAE's test L_k should stop rising at two layers, while batch norm, warm-up "
            "and the ladder go on. The gap between ELBO and L_k shows how loose the bound is. "
            "Where a variant and the one that it adds a step to were both run (VAE+BN over VAE, VAE+BN+WU "
            "over VAE+BN, LVAE+BN+WU over VAE+BN+WU), a further panel has its gain over that one, paired by "
            "seed and image, with 95 % intervals, thin where they are over images alone. Hollow points have "
            "not converged, or have no continuation. Crosses are published values and appear only where data "
            "and networks are the published ones."
        ),
        resources=("published.csv",),
        example=Example("runs of deep VAEs or ladder VAEs", ("vae",), "depths", (1, 2, 3)),
    ),
    "ladder_ablation": FigureEntry(
        "rungs.figures.ladder_ablation",
        "ladder",
        ("evaluation",),
        "Batch norm (BN) and warm-up (WU), on and off, for VAE and ladder VAE",
        look_for=(
            "Compare recipes: batch norm and warm-up should each help, and most where both are on. "
            "Bars are one standard error over test images, which runs on the same images share, "
            "so a difference is surer than the bars look."
        ),
        example=Example(
            "runs that differ in batch norm or warm-up", ("vae", "vae-bn"), "depths", (5,)
        ),
    ),
    "ladder_kl_history": FigureEntry(
        "rungs.figures.ladder_kl_history",
        "ladder",
        ("training",),
        "KL of every unit against epoch, layer by layer",
        look_for=(
            "A dark row is a unit that carries nothing. In the plain VAE the upper layers should "
            "be dark from the first epochs on, with warm-up and in the ladder they should stay "
            "bright. Below the top layer of a bottom-up VAE the KL is sampled, and a row that flickers "
            "has a KL close to zero. A dotted line marks where the continuation begins."
        ),
        example=DEEP,
    ),
    "active_units_history": FigureEntry(
        "rungs.figures.active_units_history",
        "ladder",
        ("training",),
        "Active units of each layer against epoch",
        look_for=(
            "Units above the second layer should die early in the plain VAE and survive with "
            "batch norm and warm-up, and in the ladder. A line that still moves at the last epoch "
            "belongs to a run to be trained longer. A dotted line marks where the continuation begins."
        ),
        example=DEEP,
    ),
    "ladder_pca": FigureEntry(
        "rungs.figures.ladder_pca",
        "ladder",
        ("evaluation",),
        "First two principal components of each layer's latents",
        look_for=(
            "Colours are classes; without labels all points are grey. Classes that lie apart mean that "
            "a layer knows of them. In the plain VAE the layers above the second should be one mixed cloud "
            "with an accuracy near chance; in the ladder even the top layer should separate classes."
        ),
        example=DEEP,
    ),
    "ladder_samples": FigureEntry(
        "rungs.figures.ladder_samples",
        "ladder",
        ("evaluation",),
        "Samples from the prior",
        look_for=(
            "Whether samples look like the data, and as varied. Likelihood and looks need not "
            "agree."
        ),
        example=DEEP,
    ),
    "ladder_reconstructions": FigureEntry(
        "rungs.figures.ladder_reconstructions",
        "ladder",
        ("evaluation",),
        "Test images and their reconstructions",
        look_for=(
            "Each reconstruction is the mean image given one draw of the latents. Look for "
            "details that one model loses and the other keeps."
        ),
        example=DEEP,
    ),
    "ladder_depth": FigureEntry(
        "rungs.figures.ladder_depth",
        "ladder",
        ("training", "evaluation"),
        "Bound and active layers against depth",
        look_for=(
            "Whether further layers add to the bound, or are merely carried along: the "
            "panels on the right count the layers that have an active unit. Bars are one standard error "
            "over test images, which all runs share."
        ),
        resources=("published.csv",),
        example=Example(
            "runs of deep VAEs or ladder VAEs", ("vae-bn-wu", "lvae-bn-wu"), "depths", (2, 5, 10)
        ),
    ),
    "likelihood_calibration": FigureEntry(
        "rungs.figures.likelihood_calibration",
        None,
        ("calibration", "evaluation"),
        "L_k against k where log p(x) is known, and on a trained model of each family",
        look_for=(
            "First panel: L_k must rise towards zero, from below, and reach it where the "
            "proposal is good; bars are two standard errors. Others: a curve that still rises at the "
            "largest k means that L_k understates that model's likelihood. Hollow markers: the estimated "
            "limit, with the range in which it is trusted; curves of fewer than 100 samples have none."
        ),
        example=Example("a run of any model", ("vae",), "depths", (5,)),
    ),
    "mixture_samples": FigureEntry(
        "rungs.figures.mixture_samples",
        "mixture",
        ("evaluation",),
        "Samples under each prior, and lines between two images",
        look_for=(
            "With few latents, such as ten, samples under a mixture prior should be cleaner than under a "
            "Gaussian one. Dips of the prior's log-density along the lines are valleys between separate "
            "islands; a Gaussian has none."
        ),
        example=Example(
            "runs of VAEs with one stochastic layer", ("gauss", "mog"), "latents", (10,)
        ),
    ),
    "mixture_components": FigureEntry(
        "rungs.figures.mixture_components",
        "mixture",
        ("evaluation",),
        "Images of a mixture prior's components, and how the classes share them",
        look_for=(
            "Whether each picture looks like an image of one class, whether every class is among them, "
            "and whether a component belongs to one class. Classes are those of the data's labels."
        ),
        example=MIXTURE,
    ),
    "mixture_kl": FigureEntry(
        "rungs.figures.mixture_kl",
        "mixture",
        ("evaluation",),
        "Estimates of the KL to a mixture prior, their bias and spread",
        look_for=(
            "A good estimate has little bias and little spread. The bounds must lie on their own "
            "side of zero, apart from the grey band, which is the reference's own error."
        ),
        example=MIXTURE,
    ),
    "latent_dimension": FigureEntry(
        "rungs.figures.latent_dimension",
        "mixture",
        ("evaluation",),
        "Likelihood and samples against the number of latent units",
        look_for=(
            "Where the likelihood stops rising, and whether samples get worse beyond. Bars are one "
            "standard error over test images, which all runs share. A model of zero latents, where there "
            "is one, should give the average image."
        ),
        example=Example(
            "runs of VAEs with one stochastic layer", ("gauss",), "latents", (2, 10, 50)
        ),
    ),
    "vq_reconstructions": FigureEntry(
        "rungs.figures.vq_reconstructions",
        "vq",
        ("evaluation",),
        "VQ-VAE: test images and their reconstructions",
        look_for=(
            "What the codes keep, and, where a continuous VAE with the same networks was run, what that "
            "keeps. Draws of an autoregressive decoder are noisier than means, and that is no fault."
        ),
        example=QUANTISED,
    ),
    "vq_samples": FigureEntry(
        "rungs.figures.vq_samples",
        "vq",
        ("evaluation",),
        "VQ-VAE: samples through the prior over codes",
        look_for=(
            "Whether the learnt prior puts codes together to whole objects. A uniform prior over codes and "
            "the N(0, I) of a continuous VAE draw every position by itself: their samples are parts that do "
            "not fit together."
        ),
        example=QUANTISED,
    ),
    "vq_codebook": FigureEntry(
        "rungs.figures.vq_codebook",
        "vq",
        ("training", "evaluation"),
        "VQ-VAE: use of every code, perplexity of the codebook, growth of the encoder's output",
        look_for=(
            "A curve that falls to zero early means unused codes. Without the commitment loss the "
            "encoder's norm should grow, the more the slower the codebook learns. A dotted line marks "
            "where the continuation begins."
        ),
        example=QUANTISED,
    ),
    "vae_samples": FigureEntry(
        "rungs.figures.vae_samples",
        "vae",
        ("evaluation",),
        "Samples of plain autoencoders and VAEs, by N(0, I) and by a mixture fitted to the codes",
        look_for=(
            "A plain autoencoder's samples should be poor from N(0, I) and better from the "
            "fitted mixture: its codes are not where the prior is. Models of ten latents should do better "
            "than those of two. Titles give Frechet distances, lower is better; without labels there are "
            "none."
        ),
        example=Example("runs of plain autoencoders or VAEs", ("ae", "gauss"), "latents", (2,)),
    ),
    "vae_manifold": FigureEntry(
        "rungs.figures.vae_manifold",
        "vae",
        ("evaluation",),
        "Decoded lattice of prior quantiles over a plane of two latents",
        look_for=(
            "Pictures should change into each other smoothly. Every picture stands for the same "
            "share of the prior, so a class that fills much of the plane is sampled often."
        ),
        example=PLANE,
    ),
    "latent_traversal": FigureEntry(
        "rungs.figures.latent_traversal",
        "vae",
        ("evaluation",),
        "One latent varied at a time",
        look_for=(
            "Rows are sorted by KL, the largest first. The first should change the image in one "
            "meaningful way (digits of MNIST, for example, in slant, roundness or width), the last, if "
            "unused, should change nothing."
        ),
        example=SINGLE,
    ),
    "autoencoder_identity": FigureEntry(
        "rungs.figures.autoencoder_identity",
        "vae",
        ("evaluation",),
        "Plain autoencoders of several widths, on test images and on the same images turned",
        look_for=(
            "An autoencoder as wide as its input should return even turned images, of which "
            "training showed it none: it has learnt to copy. Narrow ones should not, unless the data "
            "themselves come in all directions."
        ),
        example=Example("a run of a plain autoencoder", ("ae",), "latents", (10,)),
    ),
    "latent_scatter": FigureEntry(
        "rungs.figures.latent_scatter",
        "moments",
        ("evaluation",),
        "Test images in the plane of two latents: posterior means with one-sigma ellipses",
        look_for=(
            "The whole should look like N(0, I), whose 39 % and 86 % regions are the circles, and "
            "the classes, where there are labels, should be neighbouring regions of it. Large ellipses are "
            "uncertain posteriors. Of many test images some are shown, drawn at random."
        ),
        example=PLANE,
    ),
    "aggregate_posterior": FigureEntry(
        "rungs.figures.aggregate_posterior",
        "moments",
        ("evaluation",),
        "Aggregate posterior of each latent against N(0, 1), with its quantile-quantile plot",
        look_for=(
            "Mean and variance should be those of N(0, 1); the shape need not be. Points off the "
            "diagonal of a quantile plot show where it is not."
        ),
        example=SINGLE,
    ),
    "kl_fixed_ratio": FigureEntry(
        "rungs.figures.kl_fixed_ratio",
        "moments",
        ("evaluation",),
        "KL at a fixed ratio of deviation and mean, and trained latents on it and rescaled",
        look_for=(
            "The trained latents should lie at the minima, on the dotted line, and rescaling "
            "should only raise the KL. Points to one side of the line mean that training has not "
            "reached the optimum that the variance law describes."
        ),
        example=SINGLE,
    ),
    "overpruning": FigureEntry(
        "rungs.figures.overpruning",
        "moments",
        ("evaluation",),
        "Active and inactive latents against the latent dimension",
        look_for=(
            "The number of active latents should level off while inactive ones grow. In the "
            "second panel a dash is a latent, and every one, active or not, should lie at 1."
        ),
        example=Example(
            "runs of VAEs with one stochastic layer", ("gauss",), "latents", (5, 10, 20)
        ),
    ),
}


def figure_settings(config: Mapping[str, Any], figure: str) -> dict[str, Any]:
    """Return the section of the configuration that a figure is drawn by.

    Raises:
        ConfigError: if the figure is in the registry and the configuration has no such section.
    """
    if figure not in config["figures"]:
        raise ConfigError(
            f"configuration key figures.{figure} is missing: every figure of the registry needs its "
            "settings; add them to the section figures of config/common.yaml."
        )
    settings: dict[str, Any] = config["figures"][figure]
    return settings
