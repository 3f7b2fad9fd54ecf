"""``ladder_pca``: what the layers know of the classes (Sonderby et al. 2016, fig. 6)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rungs.figures.palettes import CLASSES, UNLABELLED, class_colour
from rungs.figures.style import (
    class_legend,
    legend_below,
    nothing_to_show,
    panels,
    say_what,
    variant_label,
)
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A row of panels a data set and variant, a column a layer: samples of q for the test images
    on their first two principal components, with their shares of the variance, coloured by class; above
    each panel the k-nearest-neighbour accuracy on the layer's samples. Of more than ten classes the first
    ten have a colour. Without labels all points are grey."""
    read = [result_file.read(path, only=["layers/", "test/labels"]) for path in files["evaluation"]]
    shown = [each for each in read if each.layers("sample")]
    if not shown:
        return nothing_to_show(settings)
    datasets = list(dict.fromkeys(map(_dataset, shown)))
    shown = sorted(shown, key=lambda evaluation: datasets.index(_dataset(evaluation)))
    depth = max(len(evaluation.layers("sample")) for evaluation in shown)
    figure, axes = panels(len(shown), depth, settings)
    for row, evaluation in zip(axes, shown, strict=True):
        run = run_of(evaluation)
        labels = evaluation["test/labels"]
        layers, correct = evaluation.layers("sample"), evaluation.layers("knn_correct")
        for number, (axis, sample) in enumerate(zip(row, layers, strict=False), 1):
            points, shares = principal_components(sample)
            axis.scatter(
                points[:, 0],
                points[:, -1],
                s=2,
                c=[class_colour(label) for label in labels],
                linewidths=0,
                rasterized=True,
            )
            told = f", kNN {correct[number - 1].mean():.0%}" if correct else ""
            axis.set_title(f"layer {number}{told}")
            names = [f"PC {i} ({share:.0%})" for i, share in enumerate(shares, 1)]
            axis.set_xlabel(names[0], fontsize=6, labelpad=1)
            axis.set_ylabel(names[-1], fontsize=6, labelpad=1)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.grid(False)
        of = [_dataset(evaluation)] if len(datasets) > 1 else []
        row[0].set_ylabel("\n".join([*of, variant_label(run.variant), row[0].get_ylabel()]))
    present = sorted({int(label) for e in shown for label in e["test/labels"] if label >= 0})
    coloured = [label for label in present if label < len(CLASSES)]
    handles = [axes[0][0].plot([], [], "o", color=CLASSES[c], ms=3)[0] for c in coloured]
    names = class_legend(shown[0], coloured)
    if len(present) > len(coloured):
        handles.append(axes[0][0].plot([], [], "o", color=UNLABELLED, ms=3)[0])
        names.append(f"{len(present) - len(coloured)} others")
    told = "kNN: accuracy of their nearest neighbours" if handles else "no labels"
    rest = f"draws of q(z|x) of test images; {told}"
    say_what(figure, " and ".join(datasets), rest)
    if handles:
        legend_below(figure, handles, names, columns=len(handles))
    return figure


def _dataset(evaluation: result_file.Stored) -> str:
    name: str = run_of(evaluation).dataset
    return name


def principal_components(x: np.ndarray, components: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Project ``x [n, units]`` on its first principal components.

    These lines instead of scikit-learn's: that refuses layers with fewer units than components and
    divides by 0 where nothing varies, and drawing needs it for nothing else.

    Returns:
        The projections, ``[n, components]``, or as many as there are units, with signs that make the
        largest loading positive; and each component's share of the variance, ``[components]``.
    """
    centred = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:components]
    largest = np.abs(axes).argmax(1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    variances = np.square(lengths)
    return centred @ axes.T, variances[:components] / max(variances.sum(), 1e-300)
