"""``ladder_depth``: how far the ladder carries, beyond the paper's five layers."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from rungs.figures.style import (
    legend_below,
    nothing_to_show,
    panels,
    variant_label,
    variant_styles,
)
from rungs.study.layout import Files
from rungs.tables import active_units, loglik


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A row a data set: test L_k, and the number of layers with an active unit (KL), against
    depth; mean over seeds, bar one standard error over test images."""
    bounds, units = loglik.make(files), active_units.make(files)
    if bounds.empty:
        return nothing_to_show(settings)
    keys = ["dataset", "variant", "depth", "seed"]
    used = (units["active_kl"] > 0).groupby([units[key] for key in keys]).sum()
    layers = used.groupby(["dataset", "variant", "depth"]).mean()
    datasets = list(dict.fromkeys(bounds["dataset"]))
    styles = variant_styles(dict.fromkeys(bounds["variant"]))
    figure, axes = panels(len(datasets), 2, settings)
    for (left, right), dataset in zip(axes, datasets, strict=True):
        for variant, style in styles.items():
            rows = bounds[(bounds["dataset"] == dataset) & (bounds["variant"] == variant)]
            if rows.empty:
                continue
            mean = rows.groupby("depth")[["test_lk", "test_lk_se"]].mean()
            left.errorbar(
                mean.index, mean["test_lk"], mean["test_lk_se"], capsize=2, elinewidth=0.7, **style
            )
            if (dataset, variant) in layers.index:
                active = layers.loc[(dataset, variant)]
                right.plot(active.index, active.to_numpy(), **style)
        deepest = int(bounds["depth"].max())
        right.plot([1, deepest], [1, deepest], color="black", lw=0.7, ls="--")
        left.set_ylabel(f"{dataset}\ntest $L_k$, nats")
        right.set_ylabel("layers with an active unit")
        for axis in (left, right):
            axis.set_xlabel("stochastic layers")
            axis.set_xticks(range(1, deepest + 1))
    handles = [axes[0][0].plot([], [], **style)[0] for style in styles.values()]
    legend_below(figure, handles, [variant_label(v) for v in styles], columns=2)
    return figure
