"""``ladder_reconstructions``: test images above their reconstructions."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rungs.figures.pictures import picture_grid
from rungs.figures.style import nothing_to_show, panels, show_image, variant_label
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A panel a data set: a row of binarised originals, then a row of reconstructions (the mean
    image given one draw of the latents) for each variant."""
    by_dataset: dict[str, list[result_file.Stored]] = {}
    for path in files["evaluation"]:
        evaluation = result_file.read(path, only=["pictures/"])
        by_dataset.setdefault(run_of(evaluation).dataset, []).append(evaluation)
    if not by_dataset:
        return nothing_to_show(settings)
    count = settings["images"]
    figure, axes = panels(len(by_dataset), 1, settings)
    for (axis,), (dataset, shown) in zip(axes, by_dataset.items(), strict=True):
        rows = [shown[0]["pictures/originals"][:count]]
        rows += [evaluation["pictures/reconstructions"][:count] for evaluation in shown]
        picture = picture_grid(np.concatenate(rows), len(rows[0]), settings_of(shown[0]))
        show_image(axis, picture)
        labels = ["binarised"]
        labels += [variant_label(run_of(e).variant) for e in shown]
        centres = (np.arange(len(rows)) + 0.5) * picture.shape[0] / len(rows)
        axis.set_yticks(centres, labels=labels)
        axis.tick_params(length=0)
        depth = run_of(shown[0]).depth
        axis.set_title(f"{dataset}, depth {depth}: test images and mean reconstructions")
    return figure
