"""One style for the whole project: legible at column width, safe for colour-blind readers.

What a user has chosen for other figures, in a ``matplotlibrc`` or in ``MPLBACKEND``, does not count here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

# a notebook's MPLBACKEND names a backend that this interpreter may not have
os.environ["MPLBACKEND"] = "Agg"
import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterMathtext

from rungs.figures import BLANK
from rungs.storage.atomic import replacing
from rungs.storage.result_file import Stored
from rungs.study.layout import CLASSES
from rungs.training.schedules import continuation_epochs

mpl.rcdefaults()

#: of a legend, and of text in the place of a figure; an entry's handle and the space around it are as wide
#: as so many letters
LETTERS_AN_INCH, TEXT_LETTERS_AN_INCH, HANDLE = 18, 12, 7


def variant_label(variant: str) -> str:
    """The documents' way of writing a variant.

    >>> variant_label("lvae-bn-wu")
    'LVAE+BN+WU'
    """
    return variant.upper().replace("-", "+")


def bound_name(ks: Iterable[int]) -> str:
    """Write the importance weighted bound with its number of samples, or numbers where runs differ.

    >>> bound_name([100, 100])
    '$L_{100}$'
    """
    return f"$L_{{{'/'.join(map(str, sorted({int(k) for k in ks})))}}}$"


def panels(
    rows: int, columns: int, settings: dict[str, Any], **keywords: Any
) -> tuple[Figure, Any]:
    """A figure of ``rows`` by ``columns`` axes (always a 2-D array) in the project's style.

    Args:
        settings: ``width`` and ``panel_height`` in inches.
    """
    sns.set_theme(
        context="paper",
        style="ticks",
        rc={
            "font.size": 8,
            "axes.titlesize": 8,
            "axes.labelsize": 8,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "legend.fontsize": 7,
            "legend.title_fontsize": 7,
            "legend.frameon": False,
            "lines.linewidth": 1.4,
            "lines.markersize": 4,
            "axes.grid": True,
            "grid.linewidth": 0.4,
            "grid.alpha": 0.5,
            "pdf.fonttype": 42,
            "svg.hashsalt": "rungs",
        },
    )
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(settings["width"], settings["panel_height"] * rows),
        squeeze=False,
        layout="constrained",
        **keywords,
    )
    sns.despine(figure)
    return figure, axes


class PlainLogarithms(LogFormatterMathtext):
    """Numbers on a logarithmic scale: plain ones, 1200 rather than 1.2 times a power of ten, where the scale
    spans less than two of these powers."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the number at a tick, or nothing at one that has none."""
        text: str = super().__call__(x, pos)
        if not text or self.axis is None:
            return text
        low, high = self.axis.get_view_interval()
        return f"{x:g}" if high < 100 * low else text


def logarithmic(axis: Any) -> None:
    """Make the y axis of a panel logarithmic."""
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(PlainLogarithms())
    axis.yaxis.set_minor_formatter(PlainLogarithms())


def mark_schedule(axis: Any, settings: Mapping[str, Any], colour: str = "0.6") -> None:
    """Draw a dotted line over an axis of epochs where a run's schedule ends and its continuation begins.

    Args:
        settings: of the run.
    """
    if continuation_epochs(settings["training"]):
        axis.axvline(settings["training"]["epochs"], color=colour, ls=":", lw=0.8, zorder=1)


def nothing_to_show(settings: dict[str, Any]) -> Figure:
    """An empty figure with a line of text, for a profile without the runs that it shows.

    Its PNG file says so in its metadata: the report has a line in its place.
    """
    figure, axes = panels(1, 1, settings)
    figure.set_label(BLANK)
    axes[0][0].set_axis_off()
    axes[0][0].text(0.5, 0.5, "Nothing to show.", ha="center", va="center")
    return figure


def say_instead(figure: Figure, text: str) -> None:
    """Write a text into a figure of :func:`nothing_to_show`, in lines that fit."""
    width = int(TEXT_LETTERS_AN_INCH * figure.get_figwidth())
    figure.axes[0].texts[0].set_text(fill(text, width))


def is_blank(figure: Figure) -> bool:
    """Return whether a figure is one of :func:`nothing_to_show`."""
    return bool(figure.get_label() == BLANK)


def class_names(evaluation: Stored, labels: Iterable[int]) -> list[str]:
    """Return the names of classes, or, where they have none, their labels."""
    names = evaluation.attributes.get(CLASSES)
    return [str(label) if names is None else shortened(names[label]) for label in labels]


def class_legend(evaluation: Stored, labels: Iterable[int]) -> list[str]:
    """Return how a legend names classes: that numbers are those of classes is said once."""
    names = class_names(evaluation, labels)
    if names and CLASSES not in evaluation.attributes:
        names[0] = f"class {names[0]}"
    return names


def shortened(name: str, most: int = 14) -> str:
    """Return a name of at most ``most`` characters.

    >>> shortened("a name that is too long")
    'a name that i…'
    """
    return name if len(name) <= most else f"{name[: most - 1]}…"


def no_labels(axis: Any) -> None:
    """Write into a panel of classes that the data set has no labels."""
    axis.set_axis_off()
    axis.text(
        0.5,
        0.5,
        "This data set\nhas no labels.",
        ha="center",
        va="center",
        transform=axis.transAxes,
    )


def show_image(axis: Any, picture: np.ndarray) -> None:
    """Draw a picture, grey or in colour, without axes."""
    axis.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)


def say_what(figure: Figure, dataset: str, rest: str = "") -> None:
    """Write the data set, and what holds for all panels, above a figure."""
    figure.suptitle(f"{dataset}, {rest}" if rest else dataset, fontsize=8)


def legend_below(figure: Figure, handles: list[Any], labels: list[str], columns: int) -> None:
    """One legend for all panels, below them; in more rows than ``columns`` ask for where names are long."""
    letters = sum(len(label) + HANDLE for label in labels)
    rows = math.ceil(letters / (LETTERS_AN_INCH * figure.get_figwidth()))
    columns = max(1, min(columns, math.ceil(len(labels) / rows)))
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        columnspacing=1.5,
        handletextpad=0.6,
    )


def _description(figure: Figure) -> dict[str, str]:
    return {"Description": BLANK} if is_blank(figure) else {}


def save(figure: Figure, stem: Path) -> None:
    """Write ``stem.png`` (200 dpi) and ``stem.pdf`` (vector), without times, and close it."""
    with replacing(stem.with_suffix(".png")) as temporary:
        figure.savefig(temporary, dpi=200, metadata=_description(figure))
    with replacing(stem.with_suffix(".pdf")) as temporary:
        figure.savefig(temporary, metadata={"CreationDate": None})
    plt.close(figure)
