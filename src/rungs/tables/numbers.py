"""How numbers of a table are written: enough digits to read and to compute with, none that mean nothing."""

from __future__ import annotations

import math
from typing import Any

#: significant digits in CSV files: those of the float32 numbers that models compute with
STORED = 7
#: significant digits on a page, and the decimals that a number below :data:`LARGE` keeps at least:
#: bounds of -103.42 nats differ by tenths
SHOWN, DECIMALS, LARGE = 4, 2, 1e6


def stored(value: float) -> str:
    """Return a number as a CSV file has it.

    Example:
        >>> stored(-103.42171478271484), stored(1e-31)
        ('-103.4217', '1e-31')
    """
    return f"{value:.{STORED}g}"


def shown(value: float) -> str:
    """Return a number as a page shows it.

    Example:
        >>> shown(-103.42171478271484), shown(0.5), shown(0.0007281), shown(2.1e-31), shown(128581292322193.4)
        ('-103.42', '0.50', '0.0007281', '2.1e-31', '1.286e+14')
        >>> shown(2471.2), shown(0.0), shown(1.0)
        ('2471.20', '0.00', '1.00')
    """
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size >= LARGE or 0 < size < 1e-4:
        return f"{value:.{SHOWN}g}"
    places = SHOWN - 1 - math.floor(math.log10(size)) if size else 0
    rounded = f"{value:.{max(places, DECIMALS)}f}"
    whole, _, decimals = rounded.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(DECIMALS, '0')}"


def cell(value: Any) -> str:
    """Return any value as a page shows it; a missing one is empty."""
    from pandas import isna

    if isna(value):
        return ""
    return shown(value) if isinstance(value, float) else str(value)
