"""``ladder_ablation``: what batch norm and warm-up each do, for VAE and ladder VAE."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rungs.figures.style import PALETTE, legend_below, nothing_to_show, panels
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of

RECIPES = (("", "neither"), ("-wu", "WU"), ("-bn", "BN"), ("-bn-wu", "BN+WU"))
MODELS = (("vae", "VAE", 1, "s"), ("lvae", "LVAE", 0, "o"))


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A panel a data set: test L_k for each recipe; mean over seeds, bar one standard error over
    test images."""
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for path in files["evaluation"]:
        evaluation = result_file.read(path, only=["test/lk"])
        run = run_of(evaluation)
        found.setdefault((run.dataset, run.variant), []).append(evaluation["test/lk"])
    datasets = list(dict.fromkeys(dataset for dataset, _ in found))
    if not datasets:
        return nothing_to_show(settings)
    figure, axes = panels(1, len(datasets), settings)
    for axis, dataset in zip(axes[0], datasets, strict=True):
        for shift, (model, label, colour, marker) in enumerate(MODELS):
            at, mean, error = [], [], []
            for place, (suffix, _) in enumerate(RECIPES):
                values = found.get((dataset, model + suffix))
                if values:
                    images = np.mean(values, axis=0)
                    at.append(place + 0.16 * (shift - 0.5))
                    mean.append(images.mean())
                    error.append(images.std(ddof=1) / np.sqrt(len(images)))
            style = {"color": PALETTE[colour], "marker": marker, "ls": ":", "capsize": 2}
            axis.errorbar(at, mean, error, label=label, **style)
        axis.set_title(dataset)
        axis.set_xticks(range(len(RECIPES)), labels=[label for _, label in RECIPES])
        axis.set_xlim(-0.4, len(RECIPES) - 0.6)
    axes[0][0].set_ylabel("test $L_k$, nats per image")
    handles, labels = axes[0][0].get_legend_handles_labels()
    legend_below(figure, handles, labels, columns=2)
    return figure
