"""``latent_dimension``: likelihood and samples against the number of latent units."""

from __future__ import annotations

from typing import Any

import seaborn as sns
from matplotlib.figure import Figure

from rungs.evaluation.lk_error import lk_standard_error
from rungs.figures.palettes import PRIORS, style
from rungs.figures.pictures import picture_grid, prior_label
from rungs.figures.style import (
    bound_name,
    logarithmic,
    no_labels,
    nothing_to_show,
    panels,
    show_image,
)
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of

ARRAYS = [
    "test/lk",
    "test/lk_error",
    "test/nested_k",
    "test/elbo",
    "frechet/distance",
    "pictures/samples",
]
#: a square of so many samples by so many of each dimension
SIDE = 3


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """Three rows a data set. First: test L_k (bars: one standard error over images) and ELBO
    (dotted), and the Frechet distance of samples; then samples of each dimension, a row a prior.
    Without latents there is one image, the average."""
    shown = [result_file.read(path, only=ARRAYS) for path in files["evaluation"]]
    if not shown:
        return nothing_to_show(settings)
    runs = [run_of(evaluation) for evaluation in shown]
    datasets = list(dict.fromkeys(run.dataset for run in runs))
    variants = list(dict.fromkeys(run.variant for run in runs))
    sizes = sorted({run.size for run in runs})
    labels = {run_of(e).variant: prior_label(settings_of(e)) for e in shown}
    height = settings["panel_height"] * len(datasets) * (1 + 0.5 * len(variants))
    figure, _ = panels(1, 1, settings | {"panel_height": height})
    figure.clear()
    parts = figure.subfigures(len(datasets), 1, squeeze=False)[:, 0]
    for part, dataset in zip(parts, datasets, strict=True):
        upper, lower = part.subfigures(2, 1, height_ratios=[1, 0.5 * len(variants)])
        left, right = upper.subplots(1, 2)
        squares = lower.subplots(len(variants), len(sizes), squeeze=False)
        for axis in squares.flat:
            axis.set_axis_off()
        looks: dict[str, dict[str, Any]] = {}
        for number, variant in enumerate(variants):
            chosen = {
                run.size: evaluation
                for run, evaluation in sorted(
                    zip(runs, shown, strict=True), key=lambda each: each[0].size
                )
                if (run.dataset, run.variant) == (dataset, variant)
            }
            if not chosen:
                continue
            look = style(PRIORS[settings_of(next(iter(chosen.values())))["network"]["prior"]])
            looks[variant] = look
            at = [sizes.index(size) for size in chosen]
            bounds = [e["test/lk"] for e in chosen.values()]
            errors = [lk_standard_error(e.arrays) for e in chosen.values()]
            left.errorbar(at, [b.mean() for b in bounds], errors, capsize=2, **look)
            elbos = [e["test/elbo"].mean() for e in chosen.values()]
            left.plot(at, elbos, ls=":", lw=1, color=look["color"])
            if all("frechet/distance" in e.arrays for e in chosen.values()):
                distances = [float(e["frechet/distance"]) for e in chosen.values()]
                right.plot(at, distances, **look)
            for size, evaluation in chosen.items():
                axis = squares[number, sizes.index(size)]
                axis.set_axis_on()
                samples = evaluation["pictures/samples"][: SIDE**2]
                picture = picture_grid(samples, SIDE, settings_of(evaluation))
                show_image(axis, picture)
                if number == 0:
                    axis.set_title(f"z = {size}")
            squares[number, sizes.index(min(chosen))].set_ylabel(labels[variant])
        bound = bound_name(e["test/nested_k"][-1] for e in shown)
        for axis, label in (
            (left, f"test {bound}, nats per image"),
            (right, "Frechet distance of samples"),
        ):
            axis.set_xticks(range(len(sizes)), sizes)
            axis.set(xlabel="latent units", ylabel=label)
        logarithmic(right)
        if not right.has_data():
            no_labels(right)
        left.set_title(dataset)
        handles = [left.plot([], [], **look)[0] for look in looks.values()]
        handles += [left.plot([], [], color="0.4", ls=":", lw=1)[0]]
        left.legend(handles, [*(labels[v] for v in looks), "ELBO"], loc="lower right")
        for axis in (left, right):
            sns.despine(ax=axis)
    return figure
