"""``mixture_kl``: estimates of the KL to a mixture prior against a reference of 5,000 draws."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from rungs.figures.pictures import prior_label
from rungs.figures.style import PALETTE, nothing_to_show, panels
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A row a run. Left: the bounds less the reference, a point a test image, with twice the
    reference's standard error as a grey band; a bound's bias is its mean. Right: bias and spread
    (standard deviation over repetitions, mean over images) of every estimate."""
    shown = [result_file.read(path, only=["kl/"]) for path in files["evaluation"]]
    shown = [evaluation for evaluation in shown if "kl/reference" in evaluation.arrays]
    if not shown:
        return nothing_to_show(settings)
    figure, axes = panels(len(shown), 2, settings, width_ratios=[1.3, 1])
    for (left, right), evaluation in zip(axes, shown, strict=True):
        run = run_of(evaluation)
        reference = evaluation["kl/reference"]
        order = reference.argsort()
        error = 2 * evaluation["kl/reference_se"][order]
        left.fill_between(reference[order], -error, error, color="grey", alpha=0.4, lw=0)
        names, biases, spreads = [], [], []
        for number, name in enumerate(("upper", "lower")):
            if f"kl/{name}" not in evaluation.arrays:
                continue
            difference = evaluation[f"kl/{name}"] - reference
            left.plot(
                reference, difference, "ov"[number], color=PALETTE[number], label=f"{name} bound"
            )
            names.append(name)
            biases.append(float(difference.mean()))
            spreads.append(0.0)
        for count, spread in zip(evaluation["kl/numbers"], evaluation["kl/spread"], strict=True):
            names.append(f"{count} draw{'s' if count > 1 else ''}")
            biases.append(0.0)
            spreads.append(float(spread.mean()))
        left.axhline(0, color="black", lw=0.6, ls="--")
        left.set_ylabel("bound - reference, nats")
        left.set_xlabel("KL(q, mixture), reference, nats")
        left.set_title(f"{run.dataset}, z = {run.size}, {prior_label(settings_of(evaluation))}")
        left.legend(fontsize=6, handletextpad=0.1, borderpad=0)
        colours = [
            PALETTE[names.index(n)] if n in ("upper", "lower") else PALETTE[2] for n in names
        ]
        for place, (bias, spread) in enumerate(zip(biases, spreads, strict=True)):
            right.errorbar(
                bias, place, xerr=spread, fmt="o", color=colours[place], capsize=3 if spread else 0
            )
            text = f"{bias:+.2f}" if spread == 0 else f"sd {spread:.2f}"
            right.annotate(
                text, (bias, place), (0, 4), textcoords="offset points", ha="center", size=6
            )
        right.axvline(0, color="black", lw=0.6, ls="--")
        right.set_yticks(range(len(names)), names)
        right.set_ylim(len(names) - 0.5, -0.7)
        right.set_xlabel("bias and spread, nats")
    return figure
