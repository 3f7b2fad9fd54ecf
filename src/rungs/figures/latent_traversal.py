"""``latent_traversal``: one latent moved at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rungs.data import shape_of
from rungs.figures.pictures import GAP, picture_grid, prior_label
from rungs.figures.style import nothing_to_show, panels, show_image
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of

NAMES = ("traversal/pictures", "traversal/values", "layers/1/kl")


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A panel a latent size, a row a latent, the one with the most KL first. The latent moves over the
    prior's quantiles from 1 % to 99 %, the others stay at the posterior mean of one test image."""
    read = [result_file.read(path, only=NAMES) for path in files["evaluation"]]
    shown = [e for e in read if NAMES[0] in e.arrays]
    if not shown:
        return nothing_to_show(settings)
    dataset = run_of(shown[0]).dataset
    shown = [e for e in shown if run_of(e).dataset == dataset]
    counts = [len(e[NAMES[0]]) for e in shown]
    # as many inches a row of pictures as the width gives it
    inches = settings["width"] * (sum(counts) + 1.5 * len(counts)) / (len(shown[0][NAMES[1]]) + 1)
    figure, axes = panels(
        len(shown), 1, settings | {"panel_height": inches / len(shown)}, height_ratios=counts
    )
    for axis, evaluation in zip(axes[:, 0], shown, strict=True):
        pictures, values = evaluation["traversal/pictures"], evaluation["traversal/values"]
        kl = evaluation["layers/1/kl"]
        order = np.argsort(-kl) if len(kl) == len(pictures) else np.arange(len(pictures))
        steps = len(values)
        run = run_of(evaluation)
        flat, trained = pictures[order].reshape(len(order) * steps, -1), settings_of(evaluation)
        show_image(axis, picture_grid(flat, steps, trained))
        height, width = shape_of(trained)[:2]
        down = (height + GAP) * np.arange(len(order)) + height / 2
        right = (width + GAP) * np.arange(steps) + width / 2
        ends = [0, steps // 2, steps - 1]
        axis.set_xticks(
            right[ends], [f"{values[i]:+.1f}" if round(values[i], 1) else "0" for i in ends]
        )
        if len(kl) == len(pictures):
            axis.set_yticks(down, [f"{kl[i]:.1f}" for i in order])
        axis.set(xlabel="value of the latent", ylabel="KL, nats")
        axis.set_title(
            f"{run.dataset}, z = {run.size}, {prior_label(trained)}: a test image's latents moved"
        )
    return figure
