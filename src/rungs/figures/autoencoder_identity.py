"""``autoencoder_identity``: without a constraint an autoencoder learns the identity."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rungs.figures.pictures import picture_grid
from rungs.figures.style import nothing_to_show, panels, say_what, show_image
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of

ERRORS = {"": "squared_error", "rotated": "rotated_squared_error"}
TITLES = {"": "test images", "rotated": "turned"}


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A row a plain autoencoder, narrow ones and one as wide as its input: on the left test images above
    their reconstructions, on the right the same images turned by a right angle, of which training showed
    none. What returns those as well has learnt to copy, not what the images are."""
    read = [
        result_file.read(path, only=["pictures/", "autoencoder/"]) for path in files["evaluation"]
    ]
    shown = [e for e in read if "autoencoder/squared_error" in e.arrays]
    if not shown:
        return nothing_to_show(settings)
    dataset = run_of(shown[0]).dataset
    shown = [e for e in shown if run_of(e).dataset == dataset]
    figure, axes = panels(len(shown), len(TITLES), settings, gridspec_kw={"wspace": 0.06})
    count = settings["images"]
    for row, evaluation in zip(axes, shown, strict=True):
        run = run_of(evaluation)
        for axis, (kind, title) in zip(row, TITLES.items(), strict=True):
            original = evaluation[f"pictures/{kind or 'originals'}"]
            again = evaluation[f"pictures/{kind + '_' if kind else ''}reconstructions"]
            rows = np.vstack([original[:count], again[:count]])
            show_image(axis, picture_grid(rows, len(rows) // 2, settings_of(evaluation)))
            pixels = original.shape[1]
            error = evaluation[f"autoencoder/{ERRORS[kind]}"].mean(dtype=np.float64) / pixels
            axis.set_title(f"{title}: squared error {error:.2g} a pixel")
        linear = "linear" if settings_of(evaluation)["network"]["linear"] else "two layers"
        row[0].set_ylabel(f"z = {run.size}\n{linear}")
    say_what(figure, dataset, "plain autoencoders: images above their reconstructions")
    return figure
