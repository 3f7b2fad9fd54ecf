"""``kl_fixed_ratio``: why the second moment of a latent is 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rungs.evaluation.moments import fixed_ratio_kl, scaling_rise
from rungs.figures.palettes import series
from rungs.figures.style import legend_below, nothing_to_show, panels, say_what
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of

NAMES = ("layers/1/posterior_mean", "layers/1/posterior_variance", "rescale/")
RATIOS = (0.1, 0.25, 0.5, 1.0, 3.0)


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """Left: KL against sigma^2 for some fixed ratios rho = sigma/mu, the minimum of each on the dotted
    line, where sigma^2 + mu^2 = 1; the trained latents as points. A latent's sigma^2 is the geometric
    mean over the images and its rho is that which gives its mean KL exactly, so it lies on the curve of
    its own rho, at the minimum if the mean of mu^2 + sigma^2 is 1. Right: the measured mean KL of each
    trained latent, multiplied by a factor which the decoder undoes, less that at its trained scale; the
    dashed line is the formula for a second moment of 1."""
    read = [result_file.read(path, only=NAMES) for path in files["evaluation"]]
    shown = [e for e in read if "rescale/image_kl" in e.arrays]
    if not shown:
        return nothing_to_show(settings)
    dataset = run_of(shown[0]).dataset
    shown = [e for e in shown if run_of(e).dataset == dataset]
    figure, axes = panels(1, 2, settings)
    left, right = axes[0]
    variances, looks = np.geomspace(1e-3, 3, 300), series(len(shown))
    for ratio in RATIOS:
        kl = fixed_ratio_kl(variances, ratio)
        left.plot(variances, kl, color="0.65", lw=0.9, zorder=1)
        best = ratio**2 / (1 + ratio**2)
        # where the curve leaves the panel or ends, free of the latents
        end = np.flatnonzero(kl < 3.7)[-1]
        height, at = (kl[end], variances[end]) if best < 0.5 else (kl[-1], variances[-1])
        left.text(at * 1.08, height, f"$\\rho = {ratio:g}$", va="center", fontsize=6)
    left.plot(
        variances[variances < 1],
        -0.5 * np.log(variances[variances < 1]),
        "k:",
        lw=1,
        label="minima, $\\sigma^2+\\mu^2=1$",
    )
    for number, evaluation in enumerate(shown):
        mean, variance = (evaluation[name].astype(np.float64) for name in NAMES[:2])
        typical = np.exp(np.log(variance).mean(0))
        second = (mean**2 + variance).mean(0)
        run = run_of(evaluation)
        left.plot(
            typical,
            (second - np.log(typical) - 1) / 2,
            label=f"trained latents, z = {run.size}",
            ls="",
            **looks[number],
        )
        factors, kl = evaluation["rescale/factors"], evaluation["rescale/image_kl"].mean(1)
        rise = kl - kl[factors.tolist().index(1.0)]
        right.plot(factors, rise, **looks[number] | {"lw": 0.6, "ms": 3})
    along = np.geomspace(0.45, 2.2, 100)
    theory = [scaling_rise(np.array(1.0), c) for c in along]
    right.plot(along, theory, "k--", lw=1, zorder=5, label="formula, $\\sigma^2+\\mu^2=1$")
    left.set(xscale="log", xlim=(1e-3, 8), ylim=(0, 4), xlabel="$\\sigma^2$", ylabel="KL, nats")
    left.set_title("KL at fixed $\\rho=\\sigma/\\mu$")
    right.set(xscale="log", xlabel="factor on the latent", ylabel="rise of the mean KL, nats")
    right.set_xticks([0.5, 0.8, 1, 1.25, 2], ["0.5", "0.8", "1", "1.25", "2"])
    right.minorticks_off()
    right.set_title("Trained latents, rescaled")
    say_what(figure, dataset, "test images")
    handles, names = (
        [*a, *b]
        for a, b in zip(
            left.get_legend_handles_labels(), right.get_legend_handles_labels(), strict=True
        )
    )
    legend_below(figure, handles, names, columns=len(handles))
    return figure
