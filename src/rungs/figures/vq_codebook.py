"""``vq_codebook``: use of every code, the codebook's perplexity and the encoder's norm."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rungs.figures.palettes import SERIES
from rungs.figures.style import legend_below, mark_schedule, nothing_to_show, panels
from rungs.figures.vq_pictures import label
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of
from rungs.tables.vq import perplexity


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A row a data set. Left: share of the test set's positions that have each code, most used
    first. Middle: perplexity of the codes of an epoch's training images against epoch. Right: root
    mean squared norm of the encoder's output against epoch."""
    found: dict[str, list[tuple[result_file.Stored, result_file.Stored]]] = {}
    for training_path, path in zip(files["training"], files["evaluation"], strict=True):
        if run_of(result_file.read(path, only=())).axis != "codes":
            continue
        evaluation = result_file.read(path, only=["test/codes", "codebook"])
        training = result_file.read(training_path, only=["code_use", "encoder_norm"])
        dataset = run_of(evaluation).dataset
        found.setdefault(dataset, []).append((training, evaluation))
    if not found:
        return nothing_to_show(settings)
    figure, axes = panels(len(found), 3, settings)
    handles: dict[str, Any] = {}
    for row, (dataset, shown) in zip(axes, found.items(), strict=True):
        for number, (training, evaluation) in enumerate(shown):
            name = label(settings_of(evaluation)).rpartition(", ")[0]
            style = {
                "color": SERIES[number % len(SERIES)][0],
                "ls": "-" if number < len(SERIES) else "--",
                # thinner than those that it may lie on
                "lw": max(0.8, 2.4 - 0.5 * number),
            }
            codes = len(evaluation["codebook"])
            use = np.bincount(evaluation["test/codes"].ravel(), minlength=codes)
            row[0].plot(np.arange(1, codes + 1), np.sort(use / use.sum())[::-1], **style)
            history = training["code_use"]
            epochs = np.arange(1, len(history) + 1)
            (handles[name],) = row[1].plot(epochs, [perplexity(u) for u in history], **style)
            row[2].plot(epochs, training["encoder_norm"], **style)
            for axis in row[1:]:
                mark_schedule(axis, settings_of(training))
        row[0].set(ylabel="share of test positions")
        row[0].set_title(f"{dataset}, {codes} codes")
        row[0].set_yscale("symlog", linthresh=1e-3)
        row[1].set(ylabel="perplexity of the codes\nof training images", ylim=(0, None))
        row[2].set(ylabel="norm of the\nencoder's output", yscale="log")
    for axis, text in zip(axes[-1], ("code, most used first", "epoch", "epoch"), strict=True):
        axis.set_xlabel(text)
    legend_below(figure, list(handles.values()), list(handles), 2)
    return figure
