"""Where an interval lies to its margin: the geometry of the small plots of the report."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rungs.report.claims import Row, holds_if, interval, number

#: the size of a plot and the space at its sides, in CSS pixels
WIDTH, HEIGHT, EDGE = 170.0, 22.0, 6.0
#: the share of the values' range that is added on either side
AIR = 0.08


@dataclass(frozen=True)
class Plot:
    """The interval of a part beside its margin; lengths in CSS pixels from the left.

    Attributes:
        says: the plot in words.
        holds: begin and end of where the part holds.
        margins: the margin, or the two of ``within``.
        low, high: the interval, cut off at the plot's edge where it has no end.
        open_low, open_high: whether it was cut off.
        measured: the measured value.
        zero: where zero is, None if it is outside or the margin.
        published: the document's own number, None where there is none.
    """

    says: str
    holds: tuple[float, float]
    margins: tuple[float, ...]
    low: float
    high: float
    open_low: bool
    open_high: bool
    measured: float
    zero: float | None
    published: float | None
    width: float = WIDTH
    height: float = HEIGHT


def plot(row: Row) -> Plot | None:
    """Return the plot of a part; None of a part without a margin, or of which nothing was measured.

    Args:
        row: of the table ``claims``.
    """
    values = {
        name: _finite(row[name]) for name in ("measured", "margin", "low", "high", "published")
    }
    measured, margin = values["measured"], values["margin"]
    if measured is None or margin is None:
        return None
    margins = (-abs(margin), abs(margin)) if row["relation"] == "within" else (margin,)
    low, high = (measured if row[name] == "" else values[name] for name in ("low", "high"))
    known = [v for v in (measured, low, high, values["published"], *margins) if v is not None]
    least, largest = min(known), max(known)
    air = AIR * (largest - least) or abs(margin) or 1.0
    scale = _Scale(least - air, largest + air)
    return Plot(
        says=_says(row),
        holds=_holds(row["relation"], margins, scale),
        margins=tuple(map(scale, margins)),
        low=EDGE / 2 if low is None else scale(low),
        high=WIDTH - EDGE / 2 if high is None else scale(high),
        open_low=low is None,
        open_high=high is None,
        measured=scale(measured),
        zero=scale(0.0) if scale.least < 0 < scale.largest and 0.0 not in margins else None,
        published=None if values["published"] is None else scale(values["published"]),
    )


@dataclass(frozen=True)
class _Scale:
    """From values to CSS pixels."""

    least: float
    largest: float

    def __call__(self, value: float) -> float:
        share = (value - self.least) / (self.largest - self.least)
        return round(EDGE + share * (WIDTH - 2 * EDGE), 1)


def _finite(text: str) -> float | None:
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None


def _holds(relation: str, margins: tuple[float, ...], scale: _Scale) -> tuple[float, float]:
    """Return where the relation holds, from edge to edge."""
    if relation == "within":
        return scale(margins[0]), scale(margins[1])
    return (scale(margins[0]), WIDTH) if relation.startswith(">") else (0.0, scale(margins[0]))


def _says(row: Row) -> str:
    published = f"; published {number(row['published'])}" if row["published"] else ""
    between = f", interval {interval(row)}" if row["low"] else ""
    return f"{number(row['measured'])}{between}; holds if {holds_if(row)}{published}"
