"""``vae_manifold``: what lies where in a plane of two latents."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtri

from rungs.figures.pictures import picture_grid, prior_label
from rungs.figures.style import nothing_to_show, panels, show_image
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of

NAME = "manifold/pictures"
#: quantiles of the prior that the axes name
TICKS = (0.025, 0.25, 0.5, 0.75, 0.975)


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """Mean images decoded at the quantiles of N(0, 1) along each latent, so that every picture stands
    for the same share of the prior."""
    shown = [result_file.read(path, only=[NAME]) for path in files["evaluation"]]
    shown = [evaluation for evaluation in shown if NAME in evaluation.arrays]
    if not shown:
        return nothing_to_show(settings)
    pictures = shown[0][NAME]
    points = len(pictures)
    figure, axes = panels(1, 1, settings)
    axis = axes[0][0]
    run = run_of(shown[0])
    trained = settings_of(shown[0])
    grid = picture_grid(pictures.reshape(points * points, -1), points, trained, gap=0)
    show_image(axis, grid)
    down, right = (np.array(TICKS) * length - 0.5 for length in grid.shape[:2])
    labels = [f"{value:+.2f}" if value else "0" for value in ndtri(TICKS)]
    axis.set_xticks(right, labels)
    axis.set_yticks(down, labels[::-1])
    axis.set(xlabel="$z_1$, at quantiles of the prior", ylabel="$z_2$, at quantiles of the prior")
    axis.set_title(f"{run.dataset}, z = {run.size}, {prior_label(trained)}: decoded mean images")
    return figure
