"""``active_units_history``: how many units of each layer are active, epoch by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rungs.evaluation.definitions import ACTIVE_KL
from rungs.figures.palettes import LAYERS
from rungs.figures.style import (
    legend_below,
    mark_schedule,
    nothing_to_show,
    panels,
    say_what,
    variant_label,
)
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of

TICKS = (0, 2, 8, 32)


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A row of panels a data set, a panel a variant, a line a layer.

    A unit is active in an epoch if its mean KL over that epoch's training images exceeds
    0.01 nats. The scale is logarithmic above 1, as layers differ by orders of magnitude.
    """
    read = [result_file.read(path, only=["layers/"]) for path in files["training"]]
    shown = [each for each in read if each.layers("kl")]
    if not shown:
        return nothing_to_show(settings)
    deepest = max(len(history.layers("kl")) for history in shown)
    datasets = list(dict.fromkeys(run_of(h).dataset for h in shown))
    variants = list(dict.fromkeys(run_of(h).variant for h in shown))
    figure, axes = panels(len(datasets), len(variants), settings, sharex="row", sharey=True)
    for history in shown:
        run = run_of(history)
        axis = axes[datasets.index(run.dataset)][variants.index(run.variant)]
        for number, kl in enumerate(history.layers("kl")):
            active = np.count_nonzero(kl > ACTIVE_KL, axis=1)
            epochs = np.arange(1, len(active) + 1)
            axis.plot(epochs, active, color=LAYERS[number % len(LAYERS)])
        mark_schedule(axis, settings_of(history))
        axis.set_yscale("symlog", linthresh=1, linscale=0.6)
        axis.set_yticks(TICKS, labels=list(map(str, TICKS)))
        axis.minorticks_off()
    lowest, highest = axes[0][0].get_ylim()
    axes[0][0].set_ylim(min(lowest, 0), highest)  # one tick alone would be no scale
    for column, variant in enumerate(variants):
        axes[0][column].set_title(variant_label(variant))
        axes[-1][column].set_xlabel("epoch")
    for row, dataset in zip(axes, datasets, strict=True):
        row[0].set_ylabel(f"{dataset}\nactive units" if len(datasets) > 1 else "active units")
    rest = f"training images; active: KL above {ACTIVE_KL:g} nats"
    say_what(figure, " and ".join(datasets), rest)
    handles = [axes[0][0].plot([], [], color=c)[0] for c in LAYERS[:deepest]]
    legend_below(figure, handles, [f"layer {i + 1}" for i in range(len(handles))], columns=5)
    return figure
