"""``vq_reconstructions``: test images above their reconstructions."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rungs.figures.pictures import picture_grid
from rungs.figures.style import nothing_to_show, panels, show_image
from rungs.figures.vq_pictures import label, shown_evaluations
from rungs.study.layout import Files
from rungs.study.settings import settings_of

#: of which a panel has its height
ROWS = 5
#: characters of a label's line
LABEL = 18


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A panel a data set: a row of originals, then a row of reconstructions for each run: the mean
    image given the codes (or a draw of the continuous latents), or a draw where the decoder is
    autoregressive."""
    found = shown_evaluations(files["evaluation"], "pictures/originals", "pictures/reconstructions")
    if not found:
        return nothing_to_show(settings)
    count = settings["images"]
    rows_shown = max(1 + len(shown) for shown in found.values())
    height = settings["panel_height"] * rows_shown / ROWS
    figure, axes = panels(len(found), 1, settings | {"panel_height": height})
    for (axis,), (dataset, shown) in zip(axes, found.items(), strict=True):
        rows = [shown[0]["pictures/originals"][:count]]
        rows += [evaluation["pictures/reconstructions"][:count] for evaluation in shown]
        picture = picture_grid(np.concatenate(rows), len(rows[0]), settings_of(shown[0]))
        show_image(axis, picture)
        labels = ["original", *(fill(label(settings_of(e)), LABEL) for e in shown)]
        centres = (np.arange(len(rows)) + 0.5) * picture.shape[0] / len(rows)
        axis.set_yticks(centres, labels=labels)
        axis.tick_params(length=0, labelsize=6)
        axis.set_title(f"{dataset}: test images and reconstructions")
    return figure
