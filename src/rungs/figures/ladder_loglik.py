"""``ladder_loglik``: bounds against depth (Sonderby et al. 2016, fig. 3)."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from rungs.figures.style import legend_below, nothing_to_show, panels, variant_label, variant_styles
from rungs.study.layout import Files
from rungs.tables import loglik

COLUMNS = (("train_elbo", "Train ELBO"), ("test_elbo", "Test ELBO"), ("test_lk", "Test"))


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A row of panels a data set; a line a variant; mean over seeds, bar one standard error.

    Points of runs that have not converged, or have no continuation that could tell, are hollow;
    published values, where ours may be compared, are crosses.
    """
    table = loglik.make(files)
    if table.empty:
        return nothing_to_show(settings)
    datasets = list(dict.fromkeys(table["dataset"]))
    present = set(table["variant"])
    styles = variant_styles(v for v in settings.get("variants", present) if v in present)
    figure, axes = panels(len(datasets), len(COLUMNS), settings, sharex=True)
    for row, dataset in zip(axes, datasets, strict=True):
        rows = table[table["dataset"] == dataset]
        for axis, (column, title) in zip(row, COLUMNS, strict=True):
            for variant, style in styles.items():
                _line(axis, rows[rows["variant"] == variant], column, style)
            k = "/".join(str(k) for k in sorted(rows["k"].unique()))
            axis.set_title(f"{title} $L_{{{k}}}$" if column == "test_lk" else title)
            axis.set_xticks(sorted(table["depth"].unique()))
        row[0].set_ylabel(f"{dataset}\nnats per image")
    for axis in axes[-1]:
        axis.set_xlabel("stochastic layers")
    handles = [axes[0][0].plot([], [], **style)[0] for style in styles.values()]
    labels = [variant_label(variant) for variant in styles]
    if not table["converged"].eq(True).all():
        handles.append(axes[0][0].plot([], [], "ko", mfc="white", ls="")[0])
        labels.append("not known to have converged")
    if table["published"].notna().any():
        handles.append(axes[0][0].plot([], [], "kx", ls="")[0])
        labels.append("published")
    legend_below(figure, handles, labels, columns=6)
    return figure


def _line(axis: Any, rows: pd.DataFrame, column: str, style: dict[str, Any]) -> None:
    if rows.empty:
        return
    by_depth = rows.groupby("depth")
    mean = by_depth[column].mean()
    error = by_depth["test_lk_se"].mean() if column == "test_lk" else None
    axis.errorbar(
        mean.index,
        mean,
        None if error is None else error.to_numpy(),
        capsize=2,
        elinewidth=0.7,
        **style,
    )
    converged = rows["converged"].eq(True).groupby(rows["depth"]).all()
    hollow = mean[~converged]
    axis.plot(hollow.index, hollow, style["marker"], mfc="white", mec=style["color"], zorder=5)
    published = by_depth["published"].first().dropna()
    if column == "test_lk" and len(published):
        axis.plot(published.index, published, "x", color=style["color"], zorder=6)
