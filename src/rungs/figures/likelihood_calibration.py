"""``likelihood_calibration``: does L_k rise to log p(x)?"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rungs.figures.style import MARKERS, PALETTE, panels, variant_label
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.runs import Run
from rungs.study.settings import run_of, settings_of

PROPOSALS = (("exact_posterior", "exact posterior", "s"), ("proposal", "wider, shifted", "o"))


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """Left: L_k - log p(x) on a linear Gaussian model whose log p(x) is known, for two
    proposals. Right: what L_k lacks to the bound with the most samples, on one trained model of each
    family. Bars: two standard errors."""
    figure, axes = panels(1, 2, settings)
    calibration = result_file.read(files["calibration"][0])
    left, right = axes[0]
    for number, (name, label, marker) in enumerate(PROPOSALS):
        gap = calibration[f"{name}/nested_lk"] - calibration["exact"]
        k = calibration[f"{name}/nested_k"]
        left.errorbar(
            k, gap.mean(1), 2 * _error(gap), color=PALETTE[number], marker=marker, label=label
        )
    left.axhline(0, color="black", lw=0.8, ls="--")
    left.set(xscale="log", xlabel="k", ylabel="$L_k - \\log p(x)$, nats")
    left.set_title("Linear Gaussian model")
    left.legend(title="proposal")
    chosen = _one_a_family(files)
    for number, evaluation in enumerate(chosen):
        k, bound = evaluation["test/nested_k"], evaluation["test/nested_lk"]
        run, gap = run_of(evaluation), bound - bound[-1]
        size = f"z = {run.size}" if run.axis == "latent" else f"depth {run.depth}"
        right.errorbar(
            k,
            gap.mean(1),
            2 * _error(gap),
            color=PALETTE[number],
            marker=MARKERS[number],
            label=f"{variant_label(run.variant)}, {size}: {bound[-1].mean():.1f}",
        )
    right.axhline(0, color="black", lw=0.8, ls="--")
    right.set(xscale="log", xlabel="k", ylabel="$L_k$ less the last, nats")
    right.set_title("Trained models")
    right.legend()
    return figure


def _one_a_family(files: Files) -> list[result_file.Stored]:
    """The last variant of each family at its greatest depth and size, first data set."""

    def size(run: Run) -> tuple[int, int]:
        return run.depth, run.size

    chosen: dict[str, result_file.Stored] = {}
    for path in files["evaluation"]:
        evaluation = result_file.read(path, only=["test/nested_k", "test/nested_lk"])
        if "test/nested_k" not in evaluation.arrays:
            continue  # a model without a likelihood
        run = run_of(evaluation)
        trained = settings_of(evaluation)
        if "convolutional" in trained["network"]:
            continue  # the likelihood of 256 intensities is on another scale
        best = chosen.get(trained["model"])
        first = best is None or run.dataset == run_of(best).dataset
        if best is None or (first and size(run) >= size(run_of(best))):
            chosen[trained["model"]] = evaluation
    return list(chosen.values())


def _error(gap: np.ndarray) -> np.ndarray:
    return gap.std(1, ddof=1) / np.sqrt(gap.shape[1])
