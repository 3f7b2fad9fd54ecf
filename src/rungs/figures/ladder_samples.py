"""``ladder_samples``: mean images of samples from the prior."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from rungs.figures.pictures import picture_grid
from rungs.figures.style import nothing_to_show, panels, show_image, variant_label
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A row a data set, a square of samples a variant."""
    shown = [result_file.read(path, only=["pictures/samples"]) for path in files["evaluation"]]
    if not shown:
        return nothing_to_show(settings)
    runs = [run_of(evaluation) for evaluation in shown]
    datasets = list(dict.fromkeys(run.dataset for run in runs))
    variants = list(dict.fromkeys(run.variant for run in runs))
    figure, axes = panels(len(datasets), len(variants), settings)
    side = settings["images"]
    for run, evaluation in zip(runs, shown, strict=True):
        axis = axes[datasets.index(run.dataset)][variants.index(run.variant)]
        samples = evaluation["pictures/samples"][: side * side]
        show_image(axis, picture_grid(samples, side, settings_of(evaluation)))
        axis.set_title(
            f"{run.dataset}, {variant_label(run.variant)}, depth {run.depth}: mean images"
        )
    return figure
