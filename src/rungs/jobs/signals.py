"""Requests to stop, as a cluster, a terminal or a timer sends them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

#: a cluster's end of time, Ctrl-C, a warning ahead of either, and a timer of our own
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGALRM)


class Interrupted(BaseException):
    """The work was asked to stop; what was begun is saved, and the same command continues it.

    The handler of a timer raises it wherever the process is, as Python does with
    :class:`KeyboardInterrupt`. So it is no :class:`Exception`: code that takes any exception of a
    library for a damaged file must not take a request to stop for one.
    """


@contextmanager
def noted_signals() -> Iterator[list[signal.Signals]]:
    """Note the signals that ask to stop instead of dying of them; the handlers return at the end.

    Yields:
        The signals that have come so far.
    """
    asked: list[signal.Signals] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(signal.Signals(number))

    previous = {number: signal.signal(number, note) for number in STOPPING}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            with suppress(TypeError):  # a handler that was not Python's
                signal.signal(number, handler)
