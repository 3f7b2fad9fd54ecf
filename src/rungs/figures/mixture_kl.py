"""``mixture_kl``: estimates of the KL to a mixture prior against a reference of 5,000 draws."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from rungs.figures.palettes import ESTIMATES, UNLABELLED, style
from rungs.figures.pictures import prior_label
from rungs.figures.style import legend_below, nothing_to_show, panels
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of

BOUNDS = ("upper", "lower")


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A row a run. Left: the bounds less the reference, a point a test image, with twice the
    reference's standard error as a grey band; a bound's bias is its mean. Right: bias and spread
    (standard deviation over repetitions, mean over images) of every estimate."""
    shown = [result_file.read(path, only=["kl/"]) for path in files["evaluation"]]
    shown = [evaluation for evaluation in shown if "kl/reference" in evaluation.arrays]
    if not shown:
        return nothing_to_show(settings)
    figure, axes = panels(len(shown), 2, settings, width_ratios=[1.3, 1])
    handles: dict[str, Any] = {}
    for (left, right), evaluation in zip(axes, shown, strict=True):
        run = run_of(evaluation)
        reference = evaluation["kl/reference"]
        order = reference.argsort()
        error = 2 * evaluation["kl/reference_se"][order]
        handles["twice the reference's standard error"] = left.fill_between(
            reference[order], -error, error, color=UNLABELLED, lw=0
        )
        rows = []
        for name, look in zip(BOUNDS, map(style, ESTIMATES), strict=False):
            if f"kl/{name}" not in evaluation.arrays:
                continue
            difference = evaluation[f"kl/{name}"] - reference
            (handles[f"{name} bound"],) = left.plot(reference, difference, **look, ls="")
            bias = float(difference.mean())
            rows.append((f"{name} bound", bias, 0.0, look, f"bias {bias:+.2f}"))
        for count, spread in zip(evaluation["kl/numbers"], evaluation["kl/spread"], strict=True):
            wide, look = float(spread.mean()), style(ESTIMATES[2])
            # no bias, by construction
            name = f"{count} draw{'s' if count > 1 else ''}, unbiased"
            rows.append((name, 0.0, wide, look, f"s.d. {wide:.2f}"))
        left.axhline(0, color="black", lw=0.6, ls="--")
        left.set_ylabel("bound - reference, nats")
        left.set_xlabel("KL(q, mixture), reference, nats")
        left.set_title(f"{run.dataset}, z = {run.size}, {prior_label(settings_of(evaluation))}")
        for place, (_, bias, wide, look, text) in enumerate(rows):
            right.errorbar(bias, place, xerr=wide or None, capsize=3 if wide else 0, **look)
            beside = right.get_yaxis_transform()
            right.text(1.02, place, text, transform=beside, va="center", fontsize=6)
        right.axvline(0, color="black", lw=0.6, ls="--")
        right.set_yticks(range(len(rows)), [name for name, *_ in rows])
        right.set_ylim(len(rows) - 0.5, -0.5)
        right.set_xlabel("bias (point) and spread (bar), nats")
        right.set_title("error of each estimate")
    legend_below(figure, list(handles.values()), list(handles), columns=3)
    return figure
