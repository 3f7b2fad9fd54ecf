"""``ladder_depth``: how far the ladder carries, beyond the paper's five layers."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from rungs.figures.palettes import variant_styles
from rungs.figures.style import bound_name, legend_below, nothing_to_show, panels, variant_label
from rungs.study.layout import Files
from rungs.tables import active_units, loglik

#: of the points of one variant beside those of the next, and half the mark of all layers, layers
SHIFT, WIDTH = 0.2, 0.3


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
        depths = sorted(bounds["depth"].unique())
        # behind the points, which lie on it where every layer is used
        for depth in depths:
            reach = depth - WIDTH, depth + WIDTH
            right.plot(reach, [depth] * 2, color="0.8", lw=5, solid_capstyle="round", zorder=0)
        for place, (variant, style) in enumerate(styles.items()):
            # side by side, as variants often agree
            aside = SHIFT * (place - (len(styles) - 1) / 2)
            rows = bounds[(bounds["dataset"] == dataset) & (bounds["variant"] == variant)]
            if rows.empty:
                continue
            mean = rows.groupby("depth")[["test_lk", "test_lk_se"]].mean()
            left.errorbar(
                mean.index + aside,
                mean["test_lk"],
                mean["test_lk_se"],
                capsize=2,
                elinewidth=0.7,
                **style,
            )
            if (dataset, variant) in layers.index:
                active = layers.loc[(dataset, variant)]
                right.plot(active.index + aside, active.to_numpy(), **style)
        left.set_ylabel(f"{dataset}\ntest {bound_name(bounds['k'])}, nats per image")
        right.set_ylabel("layers with an active unit")
        for axis in (left, right):
            axis.set_xlabel("stochastic layers")
            axis.set(xticks=depths, xlim=(depths[0] - 0.5, depths[-1] + 0.5))
        right.set(yticks=[0, *depths], ylim=(0, depths[-1] + 0.5))
    handles = [axes[0][0].plot([], [], **style)[0] for style in styles.values()]
    handles.append(axes[0][0].plot([], [], color="0.8", lw=5)[0])
    labels = [*(variant_label(v) for v in styles), "all layers active"]
    legend_below(figure, handles, labels, columns=3)
    return figure
