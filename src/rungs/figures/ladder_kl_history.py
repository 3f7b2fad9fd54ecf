"""``ladder_kl_history``: the KL of every unit, epoch by epoch (Sonderby et al. 2016, fig. 5)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from rungs.figures.style import mark_schedule, nothing_to_show, panels, say_what, variant_label
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of

#: sampled terms can be slightly negative: the logarithm has a floor
FLOOR, CEILING = 1e-3, 10.0


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A row of panels a data set and layer, top layer first, a column a variant.

    Each panel has a line of pixels a unit, sorted by the KL of the last epoch; the colour is the
    unit's mean KL over the training images of the epoch, logarithmic, cut off below 0.001 nats.
    """
    read = [result_file.read(path, only=["layers/"]) for path in files["training"]]
    shown = [each for each in read if each.layers("kl")]
    if not shown:
        return nothing_to_show(settings)
    datasets = list(dict.fromkeys(run_of(h).dataset for h in shown))
    variants = list(dict.fromkeys(run_of(h).variant for h in shown))
    depth = max(len(history.layers("kl")) for history in shown)
    figure, axes = panels(len(datasets) * depth, len(variants), settings, sharex=False)
    norm = LogNorm(FLOOR, CEILING)
    for history in shown:
        run = run_of(history)
        first_row = datasets.index(run.dataset) * depth
        column = variants.index(run.variant)
        for number, kl in enumerate(history.layers("kl"), 1):
            axis = axes[first_row + depth - number][column]
            order = np.argsort(-kl[-1])
            axis.imshow(
                np.clip(kl[:, order].T, FLOOR, CEILING),
                aspect="auto",
                norm=norm,
                cmap="viridis",
                interpolation="nearest",
                extent=(0, len(kl), kl.shape[1], 0),
            )
            mark_schedule(axis, settings_of(history), "white")
            axis.grid(False)
            axis.set_yticks([0.5, kl.shape[1] - 0.5], labels=["1", str(kl.shape[1])])
            axis.tick_params(labelbottom=number == 1, labelleft=column == 0)
    for column, variant in enumerate(variants):
        axes[0][column].set_title(variant_label(variant))
        axes[-1][column].set_xlabel("epoch")
    for place, dataset in enumerate(datasets):
        for number in range(1, depth + 1):
            label = f"layer {number}\nunit"
            axes[place * depth + depth - number][0].set_ylabel(label)
        if len(datasets) > 1:
            axes[place * depth][0].set_title(f"{dataset}: {variant_label(variants[0])}")
    say_what(figure, " and ".join(datasets), "training images; units by KL, the largest first")
    scale = ScalarMappable(norm, "viridis")
    figure.colorbar(scale, ax=axes, label="KL of the unit, nats", shrink=0.6, extend="both")
    return figure
