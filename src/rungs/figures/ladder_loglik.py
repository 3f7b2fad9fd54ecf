"""``ladder_loglik``: bounds against depth (Sonderby et al. 2016, fig. 3), and the differences of variants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rungs.claims.intervals import MIN_SEEDS, t_interval
from rungs.figures.palettes import VARIANTS, style, variant_styles
from rungs.figures.style import bound_name, legend_below, nothing_to_show, panels, variant_label
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of
from rungs.tables import loglik

COLUMNS = (("train_elbo", "Train ELBO"), ("test_elbo", "Test ELBO"), ("test_lk", "Test"))
#: variant -> the one that it adds something to
STEPS = {"vae-bn": "vae", "vae-bn-wu": "vae-bn", "lvae-bn-wu": "vae-bn-wu"}
#: (data set, variant, depth) -> seed -> L_k of each test image
Bounds = dict[tuple[str, str, int], dict[int, np.ndarray]]


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A row of panels a data set; a line a variant, mean over seeds.

    Points of runs that have not converged, or have no continuation that could tell, are hollow; published
    values, where ours may be compared, are crosses. Last, if there are such pairs: what each step adds to
    the variant before it at the same depth, paired by seed and image: Student's 95 % interval over seeds
    where there are three, else two standard errors over images, thin.
    """
    table = loglik.make(files)
    if table.empty:
        return nothing_to_show(settings)
    datasets, bounds = list(dict.fromkeys(table["dataset"])), _bounds(files)
    present = set(table["variant"])
    styles = variant_styles(v for v in settings.get("variants", present) if v in present)
    pairs = any((name, STEPS.get(v), depth) in bounds for name, v, depth in bounds)
    figure, axes = panels(len(datasets), len(COLUMNS) + pairs, settings, sharex=True)
    for row, dataset in zip(axes, datasets, strict=True):
        rows = table[table["dataset"] == dataset]
        bound = bound_name(rows["k"])
        for axis, (column, title) in zip(row, COLUMNS, strict=False):
            for variant, look in styles.items():
                _line(axis, rows[rows["variant"] == variant], column, look)
            axis.set_title(f"{title} {bound}" if column == "test_lk" else title)
        if pairs:
            _steps(row[-1], dataset, bounds)
            row[-1].set_title(f"Gain in test {bound}\nover the one before")
        row[0].set_ylabel(f"{dataset}\nnats per image")
    for axis in axes[-1]:
        axis.set_xlabel("stochastic layers")
        axis.set_xticks(sorted(table["depth"].unique()))
    handles = [axes[0][0].plot([], [], **look)[0] for look in styles.values()]
    labels = [variant_label(variant) for variant in styles]
    if not table["converged"].eq(True).all():
        handles.append(axes[0][0].plot([], [], "ko", mfc="white", ls="")[0])
        labels.append("not known to have converged")
    if table["published"].notna().any():
        handles.append(axes[0][0].plot([], [], "kx", ls="")[0])
        labels.append("published")
    legend_below(figure, handles, labels, columns=6)
    return figure


def _line(axis: Any, rows: pd.DataFrame, column: str, look: dict[str, Any]) -> None:
    if rows.empty:
        return
    by_depth = rows.groupby("depth")
    mean = by_depth[column].mean()
    axis.plot(mean.index, mean, **look)
    converged = rows["converged"].eq(True).groupby(rows["depth"]).all()
    hollow = mean[~converged]
    axis.plot(hollow.index, hollow, look["marker"], mfc="white", mec=look["color"], zorder=5)
    published = by_depth["published"].first().dropna()
    if column == "test_lk" and len(published):
        axis.plot(published.index, published, "x", color=look["color"], zorder=6)


def _bounds(files: Files) -> Bounds:
    found: Bounds = {}
    for path in files["evaluation"]:
        evaluation = result_file.read(path, only=["test/lk"])
        run = run_of(evaluation)
        if "test/lk" in evaluation.arrays:
            of_seeds = found.setdefault((run.dataset, run.variant, run.depth), {})
            of_seeds[run.seed] = evaluation["test/lk"]
    return found


def _steps(axis: Any, dataset: str, bounds: Bounds) -> None:
    """Draw what each step adds to the variant before it."""
    axis.axhline(0, color="black", lw=0.6, ls="--")
    for place, (variant, before) in enumerate(STEPS.items()):
        depths = sorted(
            d
            for name, v, d in bounds
            if (name, v) == (dataset, variant) and (dataset, before, d) in bounds
        )
        look = style(VARIANTS[variant]) | {"ls": "", "ms": 3}
        for depth in depths:
            mean, half, seeds = _gain(
                bounds[dataset, variant, depth], bounds[dataset, before, depth]
            )
            thick = 1.4 if seeds >= MIN_SEEDS else 0.5
            axis.errorbar(depth + 0.18 * (place - 1), mean, half, elinewidth=thick, **look)


def _gain(
    after: Mapping[int, np.ndarray], before: Mapping[int, np.ndarray]
) -> tuple[float, float, int]:
    """Return the paired difference of L_k, half its interval, and the number of seeds."""
    differences = [after[seed] - before[seed] for seed in after if seed in before]
    if not differences:
        return np.nan, np.nan, 0
    means = np.array([each.mean() for each in differences])
    if len(means) >= MIN_SEEDS:
        low, high = t_interval(means)
        return float(means.mean()), (high - low) / 2, len(means)
    images = np.mean(differences, axis=0)
    error = images.std(ddof=1) / np.sqrt(len(images))
    return float(images.mean()), float(2 * error), len(means)
