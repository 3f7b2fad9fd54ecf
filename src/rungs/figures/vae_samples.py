"""``vae_samples``: samples of plain autoencoders and VAEs, before and after a density is fitted."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from rungs.figures.pictures import frechet_words, picture_grid, whole_square
from rungs.figures.style import nothing_to_show, panels, say_what, show_image
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of

#: stored samples -> the Frechet distance that belongs to them, and where they come from
SOURCES = {
    "pictures/samples": ("frechet/distance", "N(0, I)"),
    "pictures/fitted": ("frechet/fitted_distance", "fitted mixture"),
}
NAMES = {"ae": "autoencoder", "gauss": "VAE"}


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A column a model, on the first data set. Above: codes drawn from N(0, I), the VAE's prior. Below:
    from a mixture of ten Gaussians fitted to the training images' codes (Ghosh et al. 2019). Titles: the
    Frechet distance to the test images in the features of the data set's classifier."""
    names = [name for source, (distance, _) in SOURCES.items() for name in (source, distance)]
    read = [result_file.read(path, only=names) for path in files["evaluation"]]
    shown = [e for e in read if "pictures/fitted" in e.arrays]
    if not shown:
        return nothing_to_show(settings)
    dataset = run_of(shown[0]).dataset
    shown = [e for e in shown if run_of(e).dataset == dataset]
    figure, axes = panels(len(SOURCES), len(shown), settings)
    side = whole_square(settings["images"], (e[source] for e in shown for source in SOURCES))
    for column, evaluation in enumerate(shown):
        run = run_of(evaluation)
        model = f"{NAMES.get(run.variant, run.variant)}, z = {run.size}"
        for row, (source, (distance, label)) in enumerate(SOURCES.items()):
            axis = axes[row][column]
            show_image(
                axis, picture_grid(evaluation[source][: side * side], side, settings_of(evaluation))
            )
            found = evaluation.arrays.get(distance)
            told = frechet_words(found)
            axis.set_title("\n".join([model, *told] if row == 0 else told))
            if column == 0:
                axis.set_ylabel(f"codes from\n{label}")
    say_what(figure, dataset, "mean images")
    return figure
