"""``vq_samples``: samples through the prior over codes, beside the continuous VAE's."""

from __future__ import annotations

from textwrap import fill
from typing import Any

from matplotlib.figure import Figure

from rungs.figures.pictures import picture_grid
from rungs.figures.style import nothing_to_show, panels, show_image
from rungs.figures.vq_pictures import label, shown_evaluations
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of

#: characters of a title's line
TITLE = 30


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A row a data set, a square of samples a run: codes from the prior (latents from N(0, I)), then
    the decoder's mean image, or a draw where it is autoregressive."""
    found = shown_evaluations(files["evaluation"], "pictures/samples")
    if not found:
        return nothing_to_show(settings)
    columns = max(len(shown) for shown in found.values())
    figure, axes = panels(len(found), columns, settings)
    side = settings["images"]
    for row, (dataset, shown) in zip(axes, found.items(), strict=True):
        for axis in row[len(shown) :]:
            axis.set_axis_off()
        for axis, evaluation in zip(row, shown, strict=False):
            run = run_of(evaluation)
            images = evaluation["pictures/samples"][: side * side]
            show_image(axis, picture_grid(images, side, settings_of(evaluation)))
            mixture = settings_of(evaluation)["network"].get("prior") == "mixture"
            prior = "its mixture prior" if mixture else "its prior N(0, I)"
            if run.axis == "codes":
                learnt = "prior" in evaluation.attributes["evaluation"]
                prior = "the learnt prior" if learnt else "the uniform prior"
            axis.set_title(
                fill(f"{dataset}, {label(settings_of(evaluation))}", TITLE) + f"\nfrom {prior}",
                fontsize=6,
            )
    return figure
