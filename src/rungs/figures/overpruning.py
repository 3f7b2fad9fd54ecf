"""``overpruning``: latents that a VAE leaves unused, the more the more it has."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rungs.evaluation.definitions import ACTIVE_KL, MOMENTS
from rungs.figures.palettes import MEASURED, UNLABELLED
from rungs.figures.style import legend_below, nothing_to_show, panels, say_what
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of

NAMES = ("layers/1/kl", "layers/1/test_moments")


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """Against the latent dimension: active and inactive latents (mean KL above 0.01 nats), and the
    second moment Var(mu) + E[sigma^2] of every latent, which the variance law says is 1."""
    read = [result_file.read(path, only=NAMES) for path in files["evaluation"]]
    shown = [e for e in read if NAMES[1] in e.arrays and len(e[NAMES[0]]) == len(e[NAMES[1]]) > 0]
    if not shown:
        return nothing_to_show(settings)
    dataset = run_of(shown[0]).dataset
    shown = [e for e in shown if run_of(e).dataset == dataset]
    shown = sorted(shown, key=lambda e: run_of(e).size)
    figure, axes = panels(1, 2, settings)
    left, right = axes[0]
    places = np.arange(len(shown))
    active = np.array([np.count_nonzero(e[NAMES[0]] > ACTIVE_KL) for e in shown])
    sizes = np.array([len(e[NAMES[0]]) for e in shown])
    bars = [left.bar(places, active, color=MEASURED)]
    if (sizes > active).any():
        bars.append(left.bar(places, sizes - active, bottom=active, color=UNLABELLED))
    for place, size, count in zip(places, sizes, active, strict=True):
        left.text(place, size, f"{1 - count / size:.0%}", ha="center", va="bottom", fontsize=6)
    # the numbers stand on the bars, the highest of which would otherwise reach the title
    left.set(ylabel="latents", title="percentages: inactive", ylim=(0, 1.1 * sizes.max()))
    for place, evaluation in zip(places, shown, strict=True):
        kl, moments = evaluation[NAMES[0]], evaluation[NAMES[1]]
        second = moments[:, MOMENTS.index("second_moment_sum")]
        kinds = [(kl > ACTIVE_KL, MEASURED), (kl <= ACTIVE_KL, UNLABELLED)]
        for chosen, colour in kinds:
            # side by side only where there are both
            aside = 0.12 if all(kind.any() for kind, _ in kinds) else 0
            at = place + (aside if colour == UNLABELLED else -aside)
            right.plot(np.full(chosen.sum(), at), second[chosen], "_", ms=7, color=colour, zorder=3)
    right.axhline(1, color="black", lw=0.8, ls="--")
    right.set(
        title="second moments; dashed: variance law",
        ylabel="$\\mathrm{Var}(\\mu)+\\mathrm{E}[\\sigma^2]$",
    )
    for axis in (left, right):
        axis.set_xticks(places, list(map(str, sizes)))
        axis.set(xlabel="latent dimension", xlim=(-0.5, len(places) - 0.5))
        axis.grid(False, axis="x")
    say_what(figure, dataset, "test images")
    legend_below(figure, bars, ["active", "inactive"][: len(bars)], columns=2)
    return figure
