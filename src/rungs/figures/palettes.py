"""The colours of the whole project: one meaning a colour, the same in every figure.

Each palette below is of one kind of thing (the ladder's variants, priors, layers, classes and so on) and
shares no colour with another (``tests/figures/test_palettes.py``). All can be told apart with the common
forms of colour blindness. Grey is for what is unlabelled or inactive, black for references and theory.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import Any

import matplotlib as mpl
from matplotlib.colors import to_hex

#: the ladder's variants: plain VAE, batch norm, warm-up, ladder (seaborn's "colorblind")
VARIANTS = {
    "vae": ("#949494", "^"),
    "vae-bn": ("#de8f05", "s"),
    "vae-bn-wu": ("#029e73", "D"),
    "lvae-bn-wu": ("#0173b2", "o"),
    "vae-wu": ("#ece133", "v"),
    "lvae": ("#ca9161", "P"),
    "lvae-bn": ("#56b4e9", "X"),
    "lvae-wu": ("#cc78bc", "*"),
}
#: priors of a single stochastic layer (Tol's "high contrast", Paul Tol, SRON/EPS/TN/09-002)
PRIORS = {
    "gaussian": ("#004488", "o"),
    "mixture": ("#bb5566", "s"),
    "vamp": ("#ddaa33", "D"),
}
#: stochastic layers, bottom first: viridis without its ends
LAYERS = [to_hex(mpl.colormaps["viridis"](x)) for x in (0.1, 0.3, 0.5, 0.7, 0.9)]
#: classes of images (Petroff 2021, arXiv:2107.02270)
CLASSES = [
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
]
#: estimates and bounds of one quantity (Tol's "bright")
ESTIMATES = [("#4477aa", "o"), ("#ee6677", "v"), ("#228833", "D"), ("#aa3377", "s")]
#: models or sizes side by side that have no colour of their own (Tol's "muted")
SERIES = [
    *(("#332288", "o"), ("#88ccee", "s"), ("#117733", "D"), ("#999933", "^"), ("#cc6677", "v")),
    *(("#882255", "P"), ("#44aa99", "X"), ("#ddcc77", "*")),
]
#: a single thing that is measured; what is not labelled, inactive or not converged; references
MEASURED, UNLABELLED, REFERENCE = "#3b4252", "#bbbbbb", "#000000"


def style(colour_and_marker: tuple[str, str]) -> dict[str, Any]:
    """Return an entry of a palette as matplotlib's keywords."""
    colour, marker = colour_and_marker
    return {"color": colour, "marker": marker}


def variant_styles(variants: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return colour and marker of each variant: the ladder's have their own, others those of a series."""
    others = cycle(SERIES)
    return {
        variant: style(VARIANTS[variant] if variant in VARIANTS else next(others))
        for variant in variants
    }


def series(count: int) -> list[dict[str, Any]]:
    """Return colours and markers of things side by side that have none of their own."""
    return [style(SERIES[number % len(SERIES)]) for number in range(count)]


def class_colour(label: int) -> str:
    """Return the colour of a class; negative labels are missing. Those beyond the tenth have none."""
    return CLASSES[label] if 0 <= label < len(CLASSES) else UNLABELLED
