"""``likelihood_calibration``: does L_k rise to log p(x), and how far is it still?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rungs.evaluation.remaining_gap import remaining_gap
from rungs.figures.palettes import ESTIMATES, MEASURED, PRIORS, VARIANTS, style
from rungs.figures.pictures import prior_label
from rungs.figures.style import panels, variant_label
from rungs.figures.vq_pictures import label as run_label
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.runs import Run
from rungs.study.settings import run_of, settings_of

PROPOSALS = (
    ("exact_posterior", "exact posterior"),
    ("proposal", "wider, shifted"),
    ("amortised", "off by image"),
)
#: of panels side by side, the one that is preferred first
COLUMNS = (3, 2, 1)
#: by which the estimated gap may be off, as a share of it (docs/trust.md)
TRUSTED = 0.35
#: where the limit is drawn: this many times the largest k
BEYOND = 4


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """First: L_k - log p(x) on a linear Gaussian model whose log p(x) is known, for three proposals;
    bars are two standard errors. Others: L_k of one trained model of each family, each on its own scale.
    Hollow: the estimated limit L_k + gap; its bar is 35 % of the gap."""
    chosen = _one_a_family(files)
    rows, columns = _grid(1 + len(chosen))
    figure, axes = panels(rows, columns, settings)
    known, *trained = axes.flat
    calibration = result_file.read(files["calibration"][0])
    for (name, label), look in zip(PROPOSALS, map(style, ESTIMATES), strict=False):
        gap = calibration[f"{name}/nested_lk"] - calibration["exact"]
        _curve(known, calibration[f"{name}/nested_k"], gap, look, label, bars=True)
    known.axhline(0, color="black", lw=0.8, ls="--", label="$\\log p(x)$")
    known.set_ylabel("$L_k - \\log p(x)$, nats")
    known.set_title("simulated data\nlinear Gaussian model")
    known.legend(title="proposal")
    for axis, evaluation in zip(trained, chosen, strict=False):
        run = run_of(evaluation)
        look, label = _look(evaluation)
        _curve(axis, evaluation["test/nested_k"], evaluation["test/nested_lk"], look)
        axis.set_ylabel("$L_k$, nats")
        axis.set_title(f"{run.dataset}\n{label}")
    for axis in trained[len(chosen) :]:
        axis.set_axis_off()
    return figure


def _grid(count: int) -> tuple[int, int]:
    """Return the rows and columns of so many panels, with few places that stay blank.

    >>> _grid(4), _grid(5), _grid(6)
    ((2, 2), (2, 3), (2, 3))
    """
    grids = [(math.ceil(count / columns), columns) for columns in COLUMNS if columns <= count]
    # one column alone would be of wide and flat panels
    fitting = [grid for grid in grids if grid[1] > 1] or grids
    return min(fitting, key=lambda grid: grid[0] * grid[1])


def _look(evaluation: result_file.Stored) -> tuple[dict[str, Any], str]:
    """Return the colour and marker of a run, and its name in words."""
    settings = settings_of(evaluation)
    variant, prior = run_of(evaluation).variant, str(settings["network"].get("prior"))
    if variant in VARIANTS:
        return style(
            VARIANTS[variant]
        ), f"{variant_label(variant)}, depth {run_of(evaluation).depth}"
    if "convolutional" in settings["network"]:
        return style((MEASURED, "^")), run_label(settings)
    label = f"{prior_label(settings)}, z = {run_of(evaluation).size}"
    return style(PRIORS.get(prior, (MEASURED, "^"))), label


def _curve(
    axis: Axes,
    k: np.ndarray,
    bounds: np.ndarray,
    look: dict[str, Any],
    label: str = "",
    bars: bool = False,
) -> None:
    """Draw the mean of the nested bounds ``[ks, images]`` against k, and where it is going."""
    mean = bounds.mean(1)
    error = 2 * bounds.std(1, ddof=1) / np.sqrt(bounds.shape[1]) if bars else None
    axis.errorbar(k, mean, error, label=label, **look)
    gap = remaining_gap(k, mean)
    if gap is not None:
        limit = mean[-1] + gap
        axis.errorbar(k[-1] * BEYOND, limit, TRUSTED * gap, mfc="white", **look)
        if not label:
            axis.axhline(limit, color=look["color"], lw=0.8, ls=":")
    axis.set(xscale="log", xlabel="k")


def _one_a_family(files: Files) -> list[result_file.Stored]:
    """The last variant of each family at its greatest depth and size, first data set. Families whose L_k
    is the same for every k (a deterministic posterior) have none."""

    def size(run: Run) -> tuple[int, int]:
        return run.depth, run.size

    chosen: dict[str, result_file.Stored] = {}
    for path in files["evaluation"]:
        evaluation = result_file.read(path, only=["test/nested_k", "test/nested_lk"])
        if len(evaluation.arrays.get("test/nested_k", ())) < 2:
            continue
        run, model = run_of(evaluation), settings_of(evaluation)["model"]
        best = chosen.get(model)
        first = best is None or run.dataset == run_of(best).dataset
        if best is None or (first and size(run) >= size(run_of(best))):
            chosen[model] = evaluation
    return list(chosen.values())
