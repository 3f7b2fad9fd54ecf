"""Bad input by property: what every case may end in, and how many there are.

A case ends in success or in one :class:`rungs.errors.RungsError` of one line that names the key or
the file. Anything else fails: another exception, more than :data:`SECONDS`, more than 4 GB.
"""

from __future__ import annotations

import os
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings

from rungs.errors import RungsError

#: cases a property; `make test-fuzz` takes more
CASES = int(os.environ.get("RUNGS_FUZZ_CASES", "3"))
SECONDS = 20.0
#: bytes that a case may take beyond what the process has before it; it starts with less than 1 GB
#: resident
MOST_MEMORY = 3 * 2**30
#: what happened to the cases of every kind, told at the end of the tests
OUTCOMES: Counter[str] = Counter()
Found = TypeVar("Found")


def cases(share: float = 1.0) -> settings:
    """As many examples as asked for, or a share of them."""
    return settings(
        max_examples=max(3, round(CASES * share)),
        deadline=timedelta(seconds=SECONDS),
        suppress_health_check=list(HealthCheck),
        # making a failure smaller takes longer than finding it
        phases=(Phase.explicit, Phase.generate),
    )


class _TooLong(BaseException):
    """No Exception, lest the code under test takes it for its own."""


@contextmanager
def limited() -> Iterator[None]:
    """Let the block take so much time and memory and no more."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TooLong(f"more than {SECONDS} seconds")

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, hard))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, before)


def told(kind: str, names: list[str], call: Callable[[], Found]) -> Found | None:
    """What ``call`` returns, or None if it refuses in one line that has one of ``names``."""
    try:
        with limited():
            found = call()
    except RungsError as error:
        message = str(error)
        assert len(message.splitlines()) == 1, message
        assert message.isprintable(), message
        assert len(message) < 2100
        assert any(name in message for name in names), (names, message)
        OUTCOMES[f"{kind}: refused"] += 1
        return None
    OUTCOMES[f"{kind}: accepted"] += 1
    return found


def flip(content: bytes, changes: list[tuple[int, int]], length: float) -> bytes:
    """``content`` with bytes at relative places replaced, cut to a share of its length."""
    altered = bytearray(content)
    for place, value in changes:
        if altered:
            altered[place % len(altered)] = value
    return bytes(altered[: round(len(altered) * length)])


def summary() -> Any:
    """Lines for the end of the tests."""
    return [f"{kind}: {count}" for kind, count in sorted(OUTCOMES.items())]
