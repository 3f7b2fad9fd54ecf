"""``mixture_components``: what the components of a mixture prior stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from rungs.figures.palettes import MEASURED
from rungs.figures.pictures import picture_grid, prior_label
from rungs.figures.style import (
    class_names,
    logarithmic,
    no_labels,
    nothing_to_show,
    panels,
    show_image,
)
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of

#: the heaviest components, which are shown
SHOWN = 50
COLUMNS = 10


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A row a run. Left: decoded means of the 50 heaviest components, heaviest first. Middle: the
    share of each class's test images that each of them takes (mean responsibility). Right: all
    weights in order, and how many components have half of the weight. Components of equal weight, as a
    VampPrior's are, stand in the order in which they are stored."""
    read = ["components/", "test/labels"]
    shown = [result_file.read(path, only=read) for path in files["evaluation"]]
    shown = [evaluation for evaluation in shown if "components/weights" in evaluation.arrays]
    if not shown:
        return nothing_to_show(settings)
    figure, axes = panels(len(shown), 3, settings, width_ratios=[1.6, 1.5, 0.9])
    for (left, middle, right), evaluation in zip(axes, shown, strict=True):
        run, weights = run_of(evaluation), evaluation["components/weights"]
        equal = np.allclose(weights, weights[0])
        pictures = evaluation["components/pictures"][:SHOWN]
        show_image(left, picture_grid(pictures, COLUMNS, settings_of(evaluation)))
        which = "first " if equal else "heaviest "
        left.set_title(
            f"{run.dataset}, z = {run.size}, {prior_label(settings_of(evaluation))}\n"
            f"decoded means of the {which}{len(pictures)}"
        )
        if "components/classes" in evaluation.arrays:
            order = "component" if equal else "component, heaviest first"
            shares = evaluation["components/classes"][:, :SHOWN]
            names = class_names(evaluation, np.unique(evaluation["test/labels"]))
            _show_shares(figure, middle, shares, order, names)
        else:
            no_labels(middle)
        if equal:
            right.set_axis_off()
            told = f"{len(weights)} components\nof equal weight"
            right.text(0.5, 0.5, told, ha="center", va="center", transform=right.transAxes)
            continue
        half = int(np.searchsorted(weights.cumsum(), 0.5)) + 1
        right.plot(np.arange(1, len(weights) + 1), weights, color=MEASURED)
        right.set(xscale="log", xlabel="component", ylabel="weight")
        logarithmic(right)
        right.set_title(f"half of the weight\nin {half} components")
    return figure


def _show_shares(
    figure: Figure, axis: Any, shares: np.ndarray, order: str, names: list[str]
) -> None:
    """Draw how the classes share the components, ``[classes, components]``."""
    picture = axis.imshow(
        100 * shares,
        aspect="auto",
        cmap="Greys",
        # most shares are a few per cent, and a class with few kinds of images has one of tens
        norm=PowerNorm(0.5, vmin=0),
        interpolation="nearest",
        extent=(0.5, shares.shape[1] + 0.5, len(shares) - 0.5, -0.5),
    )
    axis.grid(False)
    axis.set(xlabel=order, ylabel="class")
    axis.set_xticks([1, *range(10, shares.shape[1] + 1, 10)])
    axis.set_title("share of each class")
    step = 1 if len(shares) <= 12 else len(shares) // 6
    ticks = range(0, len(shares), step)
    axis.set_yticks(ticks, [names[tick] for tick in ticks])
    axis.tick_params(axis="y", labelsize=6)
    bar = figure.colorbar(picture, ax=axis, pad=0.02, aspect=15)
    bar.ax.tick_params(labelsize=6)
    bar.set_label("% of the class", fontsize=6)
