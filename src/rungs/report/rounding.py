"""Numbers rounded to their errors, as the report shows them."""

from __future__ import annotations

import math

from rungs.tables import numbers

#: significant digits of an error, and of a number at most: seeds may agree by chance to the last bit
DIGITS, MOST_DIGITS = 2, 6


def rounded(value: float, error: float) -> str:
    """Return a number with the decimals that its error leaves.

    Example:
        >>> rounded(-103.42171, 0.4312), rounded(0.73123, 0.0123), rounded(1234.5, 77.0), rounded(1, 1e-9)
        ('-103.42', '0.731', '1234', '1.00000')
    """
    if not (math.isfinite(value) and math.isfinite(error)):
        return numbers.shown(value)
    leading = float(f"{error:.{DIGITS - 1}e}")  # 0.00996 is rounded to 0.010
    decimals = DIGITS - 1 - math.floor(math.log10(leading))
    if abs(value) > leading:
        decimals = min(decimals, MOST_DIGITS - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{max(0, decimals)}f}"


def with_error(value: float, error: float) -> str:
    """Return a number and its standard error with the decimals that the error leaves.

    Example:
        >>> with_error(-103.42171, 0.4312), with_error(0.888, 0.00996)
        ('-103.42 ± 0.43', '0.888 ± 0.010')
    """
    return f"{rounded(value, error)} ± {rounded(error, error)}"


def core_time(hours: float) -> str:
    """Return core-hours in words, below one in minutes.

    >>> core_time(4.02), core_time(0.11), core_time(0.001)
    ('4.0 core-hours', '7 core-minutes', 'less than a core-minute')
    """
    minutes = round(60 * hours)
    if minutes >= 60:
        return f"{hours:.1f} core-hours"
    if minutes < 1:
        return "less than a core-minute"
    return f"{minutes} core-minute{'s' * (minutes > 1)}"
