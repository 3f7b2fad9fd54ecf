"""Requests to stop, as a cluster, a terminal or a timer sends them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

#: a cluster's end of time, Ctrl-C, warnings ahead of either (Grid Engine's is SIGUSR2), and a timer of
#: our own
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)


class Interrupted(BaseException):
    """The work was asked to stop; what was begun is saved, and the same command continues it.

    The handler of a timer raises it wherever the process is, as Python does with
    :class:`KeyboardInterrupt`. So it is no :class:`Exception`: code that takes any exception of a
    library for a damaged file must not take a request to stop for one.
    """


#: signals that have raised Interrupted: Python discards what is raised in a destructor or a callback of
#: the garbage collector, and a later training still has to stop
_raised: list[signal.Signals] = []


@contextmanager
def time_limit(minutes: float | None) -> Iterator[None]:
    """Raise :class:`Interrupted` when the time is up, wherever the process is; a training saves itself.

    Args:
        minutes: the length of the block at most; None for no limit.
    """

    def time_is_up(number: int, frame: FrameType | None) -> None:
        _raised.append(signal.Signals(number))
        raise Interrupted("the time is up between two runs; the same command continues.")

    _raised.clear()
    if minutes is not None:
        signal.signal(signal.SIGALRM, time_is_up)
        signal.setitimer(signal.ITIMER_REAL, 60 * minutes)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _raised.clear()


@contextmanager
def noted_signals() -> Iterator[list[signal.Signals]]:
    """Note the signals that ask to stop instead of dying of them; the handlers return at the end.

    Only the main thread of a process can; in another, of a program, signals stay what they are.

    Yields:
        The signals that have come so far.
    """
    asked = list(_raised)

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(signal.Signals(number))

    in_main = threading.current_thread() is threading.main_thread()
    previous = {number: signal.signal(number, note) for number in STOPPING if in_main}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            with suppress(TypeError):  # a handler that was not Python's
                signal.signal(number, handler)
