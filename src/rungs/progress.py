"""A progress line that people can read in a terminal and in a log file."""

from __future__ import annotations

import sys
import time


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(3725)
    '1:02:05'
    """
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


class ProgressLine:
    """Prints at most one line every few seconds; in a terminal it overwrites itself."""

    def __init__(self, interval: float = 10.0) -> None:
        self.terminal = sys.stderr.isatty()
        self.interval = 0.5 if self.terminal else interval
        self.last = float("-inf")

    def update(self, text: str, final: bool = False) -> None:
        """Show ``text`` if it is time to, or if it is the last."""
        now = time.monotonic()
        if not final and now - self.last < self.interval:
            return
        self.last = now
        end = "\n" if final or not self.terminal else ""
        start = "\r\033[K" if self.terminal else ""
        print(f"{start}{text}", end=end, file=sys.stderr, flush=True)
