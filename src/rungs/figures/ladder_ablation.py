"""``ladder_ablation``: what batch norm and warm-up each do, for VAE and ladder VAE."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rungs.figures.palettes import VARIANTS, style
from rungs.figures.style import bound_name, legend_below, nothing_to_show, panels, variant_label
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of

RECIPES = (("", "neither"), ("-wu", "WU"), ("-bn", "BN"), ("-bn-wu", "BN+WU"))
MODELS = ("vae", "lvae")
DRAWN = frozenset(model + suffix for model in MODELS for suffix, _ in RECIPES)


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A panel a data set: test L_k for each recipe that was run; mean over seeds, bar one standard error
    over test images. Recipes have no order, so no line joins them."""
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    ks, depths = set(), set()
    for path in files["evaluation"]:
        evaluation = result_file.read(path, only=["test/lk", "test/nested_k"])
        run = run_of(evaluation)
        if run.variant not in DRAWN:
            continue
        depths.add(run.depth)
        ks.add(int(evaluation["test/nested_k"][-1]))
        found.setdefault((run.dataset, run.variant), []).append(evaluation["test/lk"])
    datasets = list(dict.fromkeys(dataset for dataset, _ in found))
    if not datasets:
        return nothing_to_show(settings)
    made = {variant for _, variant in found}
    recipes = [each for each in RECIPES if made & {model + each[0] for model in MODELS}]
    figure, axes = panels(1, len(datasets), settings)
    handles: dict[str, Any] = {}
    for axis, dataset in zip(axes[0], datasets, strict=True):
        for shift, model in enumerate(MODELS):
            for place, (suffix, _) in enumerate(recipes):
                variant = model + suffix
                values = found.get((dataset, variant))
                if not values:
                    continue
                images = np.mean(values, axis=0)
                error = images.std(ddof=1) / np.sqrt(len(images))
                look = style(VARIANTS[variant]) | {"ls": "", "capsize": 2, "ms": 5}
                at = place + 0.2 * (shift - 0.5)
                handles[variant_label(variant)] = axis.errorbar(at, images.mean(), error, **look)
        told = "/".join(map(str, sorted(depths)))
        axis.set_title(f"{dataset}, depth {told}, with standard errors over images")
        axis.set_xticks(range(len(recipes)), labels=[label for _, label in recipes])
        axis.set_xlim(-0.5, len(recipes) - 0.5)
    axes[0][0].set_ylabel(f"test {bound_name(ks)}, nats per image")
    legend_below(figure, list(handles.values()), list(handles), columns=4)
    return figure
