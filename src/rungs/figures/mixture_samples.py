"""``mixture_samples``: samples under each prior, and what lies between two images."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rungs.figures.palettes import series
from rungs.figures.pictures import frechet_words, picture_grid, prior_label
from rungs.figures.style import legend_below, nothing_to_show, panels, show_image
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of

ARRAYS = ["pictures/samples", "interpolation/", "frechet/distance"]


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """Three rows a data set, a column a prior: samples, with their Frechet distance to the test images;
    decoded straight lines between the posterior means of two test images, a row of pictures a line; the
    prior's log-density on those lines, less the straight line between its ends: a valley between two
    islands shows as a dip."""
    shown = [result_file.read(path, only=ARRAYS) for path in files["evaluation"]]
    if not shown:
        return nothing_to_show(settings)
    runs = [run_of(evaluation) for evaluation in shown]
    datasets = list(dict.fromkeys(run.dataset for run in runs))
    variants = list(dict.fromkeys(run.variant for run in runs))
    # a square of samples with its title, four lines of eleven pictures, and the densities, inches
    column = settings["width"] / len(variants)
    heights = [column + 0.55, 0.4 * column + 0.15, settings["panel_height"]]
    figure, axes = panels(
        3 * len(datasets),
        len(variants),
        settings | {"panel_height": sum(heights) / 3},
        height_ratios=heights * len(datasets),
    )
    for axis in axes.flat:
        axis.set_visible(False)
    side = settings["images"]
    looks = [look["color"] for look in series(8)]
    handles: list[Any] = []
    scales: dict[str, Any] = {}
    for run, evaluation in zip(runs, shown, strict=True):
        row, column = 3 * datasets.index(run.dataset), variants.index(run.variant)
        top, middle, bottom = axes[row : row + 3, column]
        for axis in (top, middle, bottom):
            axis.set_visible(True)
        # one scale a data set: the valleys of one prior beside the arches of another
        scale = scales.setdefault(run.dataset, bottom)
        if scale is not bottom:
            bottom.sharey(scale)
        samples, trained = evaluation["pictures/samples"][: side**2], settings_of(evaluation)
        show_image(top, picture_grid(samples, side, trained))
        distance = evaluation.arrays.get("frechet/distance")
        words = [f"{run.dataset}, z = {run.size}", *prior_label(trained).split(", ")]
        words += frechet_words(distance)
        top.set_title("\n".join(words), fontsize=7)
        lines = evaluation["interpolation/pictures"]
        if len(lines):
            flat = lines.reshape(-1, lines.shape[-1])
            show_image(middle, picture_grid(flat, lines.shape[1], trained))
        density = evaluation["interpolation/log_density"]
        along = np.linspace(0, 1, density.shape[1])
        ends = density[:, :1] * (1 - along) + density[:, -1:] * along
        handles = [
            bottom.plot(along, line, color=colour)[0]
            for line, colour in zip(density - ends, looks, strict=False)
        ]
        bottom.axhline(0, color="black", lw=0.6, ls="--")
        bottom.set_xlabel("position on the line")
        if column == 0:
            top.set_ylabel("samples, mean images")
            middle.set_ylabel("lines")
            bottom.set_ylabel("log p(z) less that\nof the ends, nats")
    names = [f"{'row' if i else 'line of row'} {i + 1}" for i in range(len(handles))]
    legend_below(figure, handles, names, columns=len(handles) or 1)
    return figure
