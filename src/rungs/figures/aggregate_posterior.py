"""``aggregate_posterior``: is the mean of the posteriors the prior?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtri

from rungs.evaluation.definitions import MOMENTS
from rungs.evaluation.moments import density, quantile
from rungs.figures.palettes import MEASURED
from rungs.figures.style import legend_below, nothing_to_show, panels, say_what
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of

NAMES = tuple(
    f"layers/1/{n}" for n in ("posterior_mean", "posterior_variance", "kl", "test_moments")
)
COLUMNS, LATENTS = 5, 10
TICKS = (-2, 0, 2)
#: half of what the panels show at least: of z, and of quantiles
REACHES = (4.0, 3.0)
PROBABILITIES = np.linspace(0.005, 0.995, 100)


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """For each latent, the one with the most KL first: the exact density of Q(z), a mixture of one
    Gaussian a test image, on that of N(0, 1), and below it Q's quantiles against those of N(0, 1), with
    the largest gap of the two distribution functions (Kolmogorov and Smirnov)."""
    read = [result_file.read(path, only=NAMES) for path in files["evaluation"]]
    shown = [e for e in read if NAMES[0] in e.arrays and e[NAMES[0]].ndim == 2]
    if not shown:
        return nothing_to_show(settings)
    evaluation = shown[0]
    mean, variance, kl, moments = (evaluation[name] for name in NAMES)
    order = np.argsort(-kl)[:LATENTS]
    columns = min(COLUMNS, len(order))
    rows = math.ceil(len(order) / columns)
    figure, axes = panels(2 * rows, columns, settings)
    quantiles = [quantile(PROBABILITIES, mean[:, unit], variance[:, unit]) for unit in order]
    # own data can have latents far wider than N(0, 1)
    far = 1.05 * max(np.abs(each).max() for each in quantiles)
    across, down = (max(reach, far) for reach in REACHES)
    points = np.linspace(-across, across, 401)
    normal = np.exp(-(points**2) / 2) / math.sqrt(2 * math.pi)
    lines: list[Any] = []
    highest = 0.0
    for place, unit in enumerate(order):
        row, column = divmod(place, columns)
        above, below = axes[2 * row][column], axes[2 * row + 1][column]
        components = mean[:, unit], variance[:, unit]
        (reference,) = above.plot(points, normal, color="black", lw=0.8, ls="--")
        (own,) = above.plot(points, density(points, *components), color=MEASURED)
        lines = [own, reference]
        found = dict(zip(MOMENTS, moments[unit], strict=True))
        above.set_title(
            f"latent {unit + 1}: KL {kl[unit]:.2f} nats\n"
            f"mean {found['mean']:.2f}, var. {found['second_moment_sum']:.2f}\n"
            f"kurtosis {found['kurtosis']:.2f}",
            fontsize=6,
        )
        highest = max(highest, *(line.get_ydata().max() for line in lines))
        above.set(xticks=TICKS, yticks=[], xlim=(-across, across))
        expected = ndtri(PROBABILITIES)
        below.plot(expected, expected, color="black", lw=0.8, ls="--")
        below.plot(expected, quantiles[place], color=MEASURED)
        below.set(xticks=TICKS, yticks=TICKS, xlim=(-3, 3), ylim=(-down, down))
        below.set_title(f"largest CDF gap {found['ks_statistic']:.3f}", fontsize=6)
        above.set_xlabel("z", labelpad=0)
        below.set_xlabel("quantile of N(0, 1)", fontsize=7)
        if column == 0:
            above.set_ylabel("density")
            below.set_ylabel("quantile\nof Q(z)")
    for axis in axes.flat:
        axis.set_visible(bool(axis.lines))
    for axis in axes[::2].flat:
        axis.set_ylim(0, 1.05 * highest)
    run = run_of(evaluation)
    say_what(figure, run.dataset, f"z = {run.size}, test images")
    legend_below(figure, lines, ["aggregate posterior Q(z), its quantiles", "N(0, 1)"], 2)
    return figure
